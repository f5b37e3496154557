from __future__ import annotations

import time
from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from fake_recording import FakeRecording, stacks_of
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import MissingTableError, ParameterError
from workbench.frames.flame import KINDS, FlameTree, build_tree, flame_tree
from workbench.frames.labels import NO_STACK, UNKNOWN, Labels
from workbench.frames.stacks import StackTable

NATIVE = [(name, "/bin/x", "native") for name in "abcd"]
KERNEL = [(name, "[kernel]", "kernel") for name in "ak"]
SAMPLES = st.lists(
    st.tuples(
        st.sampled_from(["one", "two", ""]),
        st.lists(st.sampled_from(NATIVE + KERNEL), max_size=8),
        st.integers(1, 2**32 - 1),
    ),
    max_size=30,
)


def reference(samples: list[tuple[str, list[Any], int]]) -> Counter[tuple[Any, ...]]:
    """Weight of every path, the plain way."""
    weights: Counter[tuple[Any, ...]] = Counter()
    for comm, frames, weight in samples:
        path = [("all", "", "group"), (comm or "[no name]", "", "group"), *frames]
        for length in range(1, len(path) + 1):
            weights[tuple(path[:length])] += weight
    return weights


def paths(tree: FlameTree) -> dict[tuple[Any, ...], int]:
    keys: list[tuple[Any, ...]] = []
    for node in range(len(tree)):
        own = (tree.label(node), tree.modules[tree.module[node]], KINDS[tree.kind[node]])
        keys.append((*(keys[tree.parent[node]] if node else ()), own))
    return {key: int(width) for key, width in zip(keys, tree.width, strict=True)}


def check_invariants(tree: FlameTree) -> None:
    parent, width, left = tree.parent, tree.width, tree.left
    assert tree.names[tree.name[0]] == "all"
    assert parent[0] == -1
    assert (parent[1:] < np.arange(1, len(tree))).all()
    assert (np.diff(parent) >= 0).all()
    assert (tree.depth[1:] == tree.depth[parent[1:]] + 1).all()
    offsets = tree.level_offsets
    assert len(offsets) == int(tree.depth.max()) + 2
    for level, (start, stop) in enumerate(pairwise(offsets.tolist())):
        assert (tree.depth[start:stop] == level).all()
        assert (left[start + 1 : stop] >= left[start : stop - 1] + width[start : stop - 1]).all()
    children = np.zeros(len(tree))
    np.add.at(children, parent[1:], width[1:])
    assert (tree.self + children == width).all()
    assert tree.self.sum() == tree.total
    same = parent[1:-1] == parent[2:]
    assert (width[2:][same] <= width[1:-1][same]).all()
    assert (left[2:][same] == (left + width)[1:-1][same]).all()
    assert (left[1:] + width[1:] <= (left + width)[parent[1:]]).all()


@given(SAMPLES)
@settings(deadline=None, max_examples=60)
def test_tree_equals_plain_reference(samples: list[Any]) -> None:
    tree = flame_tree(stacks_of(samples))
    expected = reference(samples)
    if not samples:
        assert len(tree) == 1
        assert tree.total == 0
        return
    assert paths(tree) == dict(expected)
    assert tree.total == sum(weight for *_, weight in samples)
    check_invariants(tree)


def test_samples_of_one_stack_are_summed_and_ordered() -> None:
    tree = flame_tree(
        stacks_of([("x", NATIVE[:1], 1), ("x", NATIVE[1:2], 5), ("x", NATIVE[:1], 2)])
    )
    assert [tree.label(node) for node in range(4)] == ["all", "x", "b", "a"]
    assert tree.width.tolist() == [8, 8, 5, 3]
    assert tree.left.tolist() == [0, 0, 0, 5]


def test_period_and_unit_come_from_the_capture() -> None:
    rec = stacks_of([("x", NATIVE, 1)], manifest={"kinds": {"cpu": {"hz": 99}}})
    tree = flame_tree(rec)
    assert tree.unit == "samples"
    assert tree.period_ns == 10101010


@pytest.mark.parametrize(
    "hostile", [{"hz": "99"}, {"hz": 0}, {"hz": -1}, {"hz": None}, {"period_ns": []}]
)
def test_hostile_rate_gives_no_period(hostile: dict[str, Any]) -> None:
    assert flame_tree(stacks_of([], manifest={"kinds": {"cpu": hostile}})).period_ns is None


def test_missing_stacks_and_frames_are_named() -> None:
    rec = FakeRecording(
        cpu=[
            {"comm": "x", "stack_id": 7},
            {"comm": "x", "stack_id": 8},
            {"comm": "x", "stack_id": 9},
        ],
        stacks=[{"stack_id": 7, "frame_ids": [4_000_000_000]}, {"stack_id": 8, "frame_ids": []}],
        frames=[],
    )
    tree = flame_tree(rec)
    assert paths(tree).keys() >= {(("all", "", "group"), ("x", "", "group"))}
    leaves = {tree.label(node) for node in np.flatnonzero(tree.self)}
    assert leaves == {"x", NO_STACK, UNKNOWN}
    assert tree.total == 3


def test_sparse_ids_and_later_frame_rows_win() -> None:
    rec = FakeRecording(
        cpu=[{"comm": "x", "stack_id": 4_000_000_001}],
        stacks=[{"stack_id": 4_000_000_001, "frame_ids": [3_999_999_999]}],
        frames=[
            {"frame_id": 3_999_999_999, "function": "early", "kind": "native"},
            {"frame_id": 3_999_999_999, "function": "late", "kind": "native"},
        ],
    )
    tree = flame_tree(rec)
    assert tree.label(2) == "late"


def test_python_frames_of_different_files_stay_apart() -> None:
    frames = [
        {"frame_id": number, "function": "run", "file": file, "module": "/bin/py", "kind": "python"}
        for number, file in enumerate(["a.py", "b.py"])
    ]
    rec = FakeRecording(
        cpu=[{"comm": "x", "stack_id": number} for number in range(2)],
        stacks=[{"stack_id": number, "frame_ids": [number]} for number in range(2)],
        frames=frames,
    )
    tree = flame_tree(rec)
    assert [tree.modules[index] for index in tree.module] == ["", "", "a.py", "b.py"]


def test_grouping() -> None:
    rec = stacks_of([("x", NATIVE[:1], 1)])
    assert flame_tree(rec, by=()).names == ["a", "all"]
    tree = flame_tree(rec, by=("cpu", "comm", "pid", "tid"))
    assert tree.path(5) == ["all", "cpu 0", "x", "pid 1", "tid 1", "a"]
    with pytest.raises(ParameterError, match="weight"):
        flame_tree(rec, by=("weight",))


def test_missing_tables_come_with_advice() -> None:
    with pytest.raises(MissingTableError, match="workbench record cpu"):
        flame_tree(FakeRecording(syscalls=[]))
    rec = stacks_of([])
    del rec.tables["stacks"]
    with pytest.raises(MissingTableError, match="stacks"):
        flame_tree(rec)
    rec = stacks_of([])
    rec.tables["cpu"].schema.names.remove("weight")
    with pytest.raises(MissingTableError, match="lacks the column weight"):
        flame_tree(rec)


def test_a_million_nodes_take_seconds() -> None:
    rng = np.random.default_rng(1)
    rows, depth, names = 100_000, 40, 500
    # Rows share the first steps of a path and differ after a random step.
    path = np.sort(rng.integers(0, names, (rows, depth)), axis=1)
    shared = rng.integers(0, depth, rows)
    path[np.arange(depth) < shared[:, None] // 2] = 0
    lengths = rng.integers(10, depth, rows)
    table = StackTable(
        Labels([f"f{i:03}" for i in range(names)], ["m"] * names, np.ones(names, np.uint8)),
        path[np.arange(depth) < lengths[:, None]],
        np.concatenate([[0], np.cumsum(lengths)]),
        rng.integers(1, 1000, rows),
    )
    start = time.perf_counter()
    tree = build_tree(table)
    spent = time.perf_counter() - start
    assert len(tree) > 1_000_000
    check_invariants(tree)
    assert spent < 5
