from __future__ import annotations

import numpy as np
import pytest
import synthetic
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import MissingTableError
from workbench.frames.samples import functions, samples, stack_tree
from workbench.recording import Recording

KINDS = ("syscalls", "cpu", "offcpu")


@pytest.fixture(scope="module")
def rec(tmp_path_factory):
    path = tmp_path_factory.mktemp("samples") / "a.wb"
    return Recording.open(synthetic.make_session(path, kinds=KINDS, rows=700))


def test_each_sample_with_its_stack(rec):
    found = samples(rec, "cpu")
    data = synthetic.truth(KINDS, rows=700).columns["cpu"]
    order = np.lexsort((data["ts"], data["tid"], data["pid"]))
    assert found.unit == "samples"
    assert found.rows["ts"].to_list() == data["ts"][order].tolist()
    assert found.rows["tid"].to_list() == data["tid"][order].tolist()
    assert found.rows["amount"].to_list() == data["weight"][order].tolist()
    names = found.frames["name"].to_list()
    for stack, truth in zip(found.rows["stack"], data["stack_id"][order], strict=True):
        frames = found.flat[found.offsets[stack] : found.offsets[stack + 1]]
        expected = [synthetic.FRAMES[at][0] for at in synthetic.STACKS[truth]]
        assert [names[at] for at in frames[::-1]] == expected


def test_times_and_selections(rec):
    part = rec.where(pid=1000)
    found = samples(part, "offcpu")
    assert found.unit == "ns"
    assert found.rows["amount"].sum() == part.sql(
        "select sum((cast(blocked as bigint) + cast(runnable as bigint)) * weight) as n from offcpu"
    ).item()  # fmt: skip
    assert samples(part, "offcpu", "weight").unit == "events"
    assert samples(part, "offcpu", "blocked").rows["amount"].min() > 0
    assert set(found.rows["pid"]) == {1000}


def test_functions_are_frames_that_differ_in_lines_only(rec):
    found = samples(rec, "cpu")
    named, function = functions(found.frames.with_row_index("x").drop("x")[[0, 1, 1, 2, 0]])
    assert function.tolist() == [0, 1, 1, 2, 0]
    assert named["name"].to_list() == found.frames["name"][:3].to_list()


def test_what_has_no_stacks(rec):
    with pytest.raises(MissingTableError):
        samples(rec, "syscalls")


@given(st.lists(st.lists(st.integers(0, 5), max_size=6), max_size=20))
def test_tree_gives_the_stacks_back(stacks):
    items = np.array([item for stack in stacks for item in stack], np.int64)
    offsets = np.concatenate([[0], np.cumsum([len(stack) for stack in stacks])]).astype(np.int64)
    tree = stack_tree(items, offsets)
    for stack, leaf in zip(stacks, tree.leaf.tolist(), strict=True):
        found = []
        while leaf != -1:
            found.append(int(tree.item[leaf]))
            assert tree.prefix[leaf] < leaf
            leaf = int(tree.prefix[leaf])
        assert found == stack
    pairs = set(zip(tree.prefix.tolist(), tree.item.tolist(), strict=True))
    assert len(pairs) == len(tree.item)  # each node once
