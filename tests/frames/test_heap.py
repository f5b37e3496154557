"""Heap frames on allocations whose ends and weights are known."""

import pytest
from fake_recording import FakeRecording
from frames_memory import ROWS, event, recording

from workbench.errors import MissingTableError, ParameterError
from workbench.frames import heap
from workbench.frames.flame import flame_tree


def test_by_stack():
    rows = heap.by_stack(recording(ROWS)).rows()
    seconds = [row[-1].total_seconds() if row[-1] is not None else None for row in rows]
    assert [row[:-1] for row in rows] == [(1, 2, 51, 1, 50), (0, 5, 57, 2, 27)]
    assert seconds == [2.0, 3.0]


def test_by_process():
    found = heap.by_process(recording(ROWS)).select("pid", "allocations", "bytes", "live_bytes")
    assert found.rows() == [(2, 1, 50, 50), (1, 6, 58, 27)]


def test_live_oldest_first_with_its_age_at_the_end():
    found = heap.live(recording(ROWS, exits=[(2, 7)]))
    ages = [age.total_seconds() for age in found["age"]]
    assert found.select("pid", "address", "size").rows() == [
        (1, 200, 20),
        (1, 100, 7),
        (2, 100, 50),
    ]
    assert ages == [7.0, 4.0, 1.0]  # the last row is at 9 s; process 2 ended at 7 s
    assert heap.live(recording(ROWS, exits=[(2, 7)]), older_than=4).height == 2


def test_leaks_are_stacks_that_do_not_free():
    kept = [event("alloc", at, at, 100, stack_id=5) for at in range(1, 11)]
    once = [event("alloc", 1, 1000, 9999, stack_id=6)]
    freed = [event("alloc", at, 2000 + at, 5, stack_id=7) for at in range(1, 11)]
    freed += [event("free", at + 1, 2000 + at, 5, born=at) for at in range(1, 10)]
    rec = recording([*kept, *once, *freed])
    assert heap.leaks(rec).select("stack_id", "live", "live_bytes", "seen").rows() == [
        (5, 10, 1000, 10)
    ]
    assert heap.leaks(rec, at_least=1)["stack_id"].to_list() == [6, 5]
    assert heap.leaks(rec, freed=0.9)["stack_id"].to_list() == [5, 7]
    assert heap.leaks(rec, older_than=5)["live"].to_list() == [5]
    assert heap.leaks(rec, older_than=100).is_empty()


def test_nothing_there():
    assert heap.leaks(recording([])).is_empty()
    assert heap.by_stack(recording([])).is_empty()


def test_growth():
    assert heap.growth(recording(ROWS)).rows() == [(2, 8192, 0, 1), (3, 0, 4096, 0)]


def test_what_makes_no_sense():
    rec = recording(ROWS)
    with pytest.raises(ParameterError, match="older_than"):
        heap.live(rec, older_than=-1)
    with pytest.raises(ParameterError, match="freed"):
        heap.leaks(rec, freed=2)
    with pytest.raises(MissingTableError, match="memory"):
        heap.by_stack(FakeRecording())


@pytest.mark.parametrize(
    ("weight", "total"),
    [("", 30 + 20 + 7 + 50 + 1), ("size", 108), ("live", 77), ("mapped", 8192), ("faults", 4096)],
)
def test_flamegraphs_of_bytes(weight, total):
    rows = recording(ROWS)
    rows.tables |= FakeRecording(
        stacks=[{"stack_id": n, "frame_ids": [n]} for n in range(4)],
        frames=[
            {"frame_id": n, "function": f"f{n}", "module": "m", "kind": "native", "file": None}
            for n in range(4)
        ],
    ).tables
    tree = flame_tree(rows, "memory", by=(), weight=weight)
    assert (tree.total, tree.unit) == (total, "bytes")
    assert flame_tree(rows, "memory", by=(), weight="weight").unit == "events"
    with pytest.raises(ParameterError, match="live"):
        flame_tree(rows, "memory", by=(), weight="blocked")
