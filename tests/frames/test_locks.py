"""Tables of locks, from events by hand."""

import polars as pl
import pytest
from fake_recording import FakeRecording

from workbench.errors import MissingTableError
from workbench.frames import locks

BASE = {
    "pid": 1,
    "type": "futex",
    "lock": 64,
    "owner_tid": 0,
    "waker_tid": 0,
    "held": 0,
    "waited": 0,
}
ROWS = [
    {**BASE, "event": "wait", "tid": 1, "waited": 100, "owner_tid": 2, "waker_tid": 2,
     "stack_id": 7, "comm": "one"},
    {**BASE, "event": "wait", "tid": 3, "waited": 50, "owner_tid": 2, "waker_tid": 1, "stack_id": 7,
     "comm": "three"},
    {**BASE, "event": "wake", "tid": 1, "held": 30, "stack_id": 8, "comm": "one"},
    {**BASE, "event": "wake", "tid": 2, "comm": "two"},
    {**BASE, "event": "wait", "tid": 3, "waited": 5, "lock": 65, "type": "mutex", "comm": "three",
     "open": 1, "stack_id": 9},
]  # fmt: skip
NAMES = [{"tid": 2, "comm": "two", "ts": 1}]
REC = FakeRecording(locks=ROWS, processes=NAMES)


def ns(frame, *columns):
    return frame.select(pl.col(columns).cast(pl.Int64)).rows()


def test_by_lock():
    found = locks.by_lock(REC)
    assert found.select("type", "lock", "waits", "threads", "holds").rows() == [
        ("futex", 64, 2, 2, 1),
        ("mutex", 65, 1, 1, 0),
    ]
    assert ns(found, "waited", "p50", "max", "held") == [(150, 50, 100, 30), (5, 5, 5, 0)]
    assert found["held_max"].null_count() == 1


def test_by_thread_and_by_stack():
    found = locks.by_thread(REC)
    assert found.select("tid", "comm", "type", "waits", "holds").rows() == [
        (1, "one", "futex", 1, 1),
        (3, "three", "futex", 1, 0),
        (3, "three", "mutex", 1, 0),
    ]
    assert locks.by_stack(REC).select("stack_id", "waits", "holds").rows() == [
        (7, 2, 0),
        (9, 1, 0),
        (8, 0, 1),
    ]


def test_blockers():
    found = locks.blockers(REC)
    assert found.select("lock", "owner_tid", "waker_tid", "owner_comm", "waker_comm").rows() == [
        (64, 2, 2, "two", "two"),
        (64, 2, 1, "two", None),
        (65, 0, 0, None, None),
    ]
    assert found["waits"].to_list() == [1, 1, 1]


def test_stuck():
    assert locks.stuck(REC).select("tid", "lock").rows() == [(3, 65)]
    assert ns(locks.stuck(REC), "waited") == [(5,)]


def test_counts_of_the_kernel():
    rows = [
        {"pid": 1, "type": "futex", "lock": 64, "events": 5, "waits": 3, "holds": 2,
         "waited_sum": 30, "held_sum": 8, "waited_hist": [0] * 3 + [3] + [0] * 60},
        {"pid": 1, "type": "futex", "lock": 65, "events": 5, "waited_hist": [0] * 64},
    ]  # fmt: skip
    found = locks.by_lock(FakeRecording(locks_agg=rows))
    assert found.select("lock", "waits", "holds").rows() == [(64, 3, 2)]
    assert ns(found, "waited", "held") == [(30, 8)]
    assert 8 <= ns(found, "p50")[0][0] <= 16
    assert found.schema == locks.by_lock(REC).schema
    assert locks.by_lock(FakeRecording(locks_agg=[])).is_empty()


def test_nothing_there():
    with pytest.raises(MissingTableError, match="record locks"):
        locks.by_lock(FakeRecording())
    empty = FakeRecording(locks=[])
    for function in (locks.by_lock, locks.by_thread, locks.by_stack, locks.blockers, locks.stuck):
        assert function(empty).is_empty()
