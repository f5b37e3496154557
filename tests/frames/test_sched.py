"""Tables of scheduling, against sums by hand over the same rows."""

from collections import Counter

import polars as pl
import pytest
from fake_recording import FakeRecording
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import MissingTableError
from workbench.frames import sched

NAMES = [{"tid": 7, "comm": "seven", "ts": 1}, {"tid": 8, "comm": "eight", "ts": 1}]
ROWS = [
    {"ts": 100, "pid": 7, "tid": 7, "comm": "old", "latency": 10, "ran": 50, "cause": "woken",
     "state": "sleeping", "waker": "interrupt", "waker_tid": 0, "waker_pid": 0},
    {"ts": 150, "pid": 7, "tid": 8, "comm": "eight", "latency": 20, "ran": 5, "cause": "woken",
     "state": "preempted", "waker": "task", "waker_tid": 7, "waker_pid": 7, "migrations": 2},
    {"ts": 400, "pid": 7, "tid": 7, "comm": "new", "latency": 0, "ran": 9, "cause": "unknown",
     "state": "exited", "waker": "none", "waker_tid": 0, "waker_pid": 0},
]  # fmt: skip


def ns(frame, *columns):
    return frame.select(pl.col(columns).cast(pl.Int64)).rows()


def recording(rows=ROWS):
    return FakeRecording(sched=rows, processes=NAMES)


def test_by_thread():
    found = sched.by_thread(recording())
    assert found.select("tid", "comm", "runs", "preempted", "migrations").rows() == [
        (8, "eight", 1, 1, 2),
        (7, "new", 2, 0, 0),
    ]
    assert ns(found, "ran", "waited", "p50", "p99", "max") == [
        (5, 20, 20, 20, 20),
        (59, 10, 10, 10, 10),
    ]


def test_by_process():
    found = sched.by_process(recording())
    assert found.select("pid", "comm", "runs").rows() == [(7, "new", 3)]
    assert ns(found, "ran", "waited", "p50", "max") == [(64, 30, 10, 20)]


def test_unknown_latencies_are_in_no_histogram():
    assert sched.latency_histogram(recording()).rows() == [(8, 16, 1), (16, 32, 1)]


def test_wakers():
    found = sched.wakers(recording())
    assert found.select("waker", "waker_tid", "waker_comm", "tid", "comm", "wakeups").rows() == [
        ("interrupt", 0, None, 7, "old", 1),
        ("task", 7, "seven", 8, "eight", 1),
    ]
    assert ns(found, "waited", "max") == [(10, 10), (20, 20)]


def test_longest():
    found = sched.longest(recording(), 1)
    assert found.select("tid", "cause").rows() == [(8, "woken")]
    assert ns(found, "latency", "ran") == [(20, 5)]
    assert sched.longest(recording()).height == 2  # those that are known


def test_chains():
    found = sched.chains(recording())
    assert found.select("chain", "length", "wakeups").rows() == [
        ("eight ← seven ← interrupt", 2, 1),  # woken at 130, while seven ran from 100 to 150
        ("seven ← interrupt", 1, 1),
    ]
    assert ns(found, "max") == [(60,), (10,)]
    short = sched.chains(recording(), 1)
    assert short["chain"].to_list() == ["eight ← seven", "seven ← interrupt"]


COUNTED = [
    {"pid": 7, "tid": 7, "comm": "a", "runs": 4, "preempted": 1, "migrations": 1, "ran_sum": 40,
     "latency_sum": 60, "latency_max": 30, "latency_hist": [0] * 3 + [2, 1] + [0] * 59},
    {"pid": 7, "tid": 8, "comm": "a", "runs": 1, "preempted": 0, "migrations": 0, "ran_sum": 5,
     "latency_sum": 9, "latency_max": 9, "latency_hist": [0] * 3 + [1] + [0] * 60},
]  # fmt: skip


def test_counts_of_the_kernel():
    rec = FakeRecording(sched_agg=COUNTED)
    threads, processes = sched.by_thread(rec), sched.by_process(rec)
    assert threads.select("tid", "runs", "preempted").rows() == [(7, 4, 1), (8, 1, 0)]
    assert ns(threads, "ran", "waited", "max") == [(40, 60, 30), (5, 9, 9)]
    assert ns(processes, "ran", "waited", "max") == [(45, 69, 30)]
    assert processes["runs"].to_list() == [5]
    assert 8 <= ns(processes, "p50")[0][0] <= 16 <= ns(processes, "p99")[0][0] <= 32
    assert sched.latency_histogram(rec).rows() == [(8, 16, 3), (16, 32, 1)]


ROW = st.fixed_dictionaries(
    {
        "ts": st.integers(1000, 2000),
        "pid": st.integers(1, 2),
        "tid": st.integers(1, 4),
        "latency": st.integers(0, 1000),
        "ran": st.integers(0, 10**12),
        "cause": st.sampled_from(["woken", "preempted", "new", "unknown"]),
        "state": st.sampled_from(["sleeping", "preempted"]),
        "waker": st.sampled_from(["none", "task", "interrupt"]),
        "waker_tid": st.integers(0, 4),
    }
)


@settings(deadline=None, max_examples=60)
@given(st.lists(ROW, min_size=1, max_size=15))
def test_all_sums_agree(rows):
    rec = recording(rows)
    known = [row for row in rows if row["cause"] != "unknown"]
    for frame in (sched.by_thread(rec), sched.by_process(rec)):
        assert frame["runs"].sum() == len(rows)
        assert frame["ran"].cast(pl.Int64).sum() == sum(row["ran"] for row in rows)
        assert frame["waited"].cast(pl.Int64).sum() == sum(row["latency"] for row in known)
    assert sched.latency_histogram(rec)["runs"].sum() == len(known)
    woken = [row for row in rows if row["waker"] != "none"]
    assert sched.wakers(rec)["wakeups"].sum() == len(woken)
    starts = Counter((row["tid"], row["ts"]) for row in rows)
    if max(starts.values()) == 1:  # a thread does not begin twice at once
        ends = [row for row in woken if row["cause"] != "unknown"]
        for depth in (1, 3):
            found = sched.chains(rec, depth)
            assert found["wakeups"].sum() == len(ends)
            assert found["length"].max() in (None, *range(1, depth + 1))


def test_nothing_there():
    with pytest.raises(MissingTableError, match="record sched"):
        sched.by_thread(FakeRecording())
    empty = recording([])
    for function in (sched.by_thread, sched.by_process, sched.latency_histogram, sched.wakers,
                     sched.longest, sched.chains):  # fmt: skip
        assert function(empty).is_empty()
    nothing = FakeRecording(sched_agg=[])
    assert sched.by_thread(nothing).is_empty()
    assert sched.latency_histogram(nothing).is_empty()
