"""Off-CPU time: sums, groups and names, against plain sums over the same rows."""

from collections import Counter
from datetime import timedelta

import polars as pl
import pytest
from fake_recording import FakeRecording, offcpu_of
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import MissingTableError
from workbench.event_texts import OFF_STATES
from workbench.frames import offcpu
from workbench.frames.flame import flame_tree
from workbench.frames.folded import folded

MAIN, READ = ("main", "/bin/x", "native"), ("read", "/lib/c", "native")
WAIT, PROBE = (
    (name, "[kernel]", "kernel") for name in ("schedule", "bpf_prog_0123456789abcdef_task_switch")
)
DEEP = [MAIN, READ, WAIT, PROBE]
ROWS = [
    {"tid": 1, "state": "sleeping", "blocked": 70, "runnable": 30, "path": DEEP,
     "comm": "old", "ts": 1, "waker": "task", "waker_tid": 2, "waker_pid": 2},
    {"tid": 1, "state": "sleeping", "blocked": 500, "runnable": 1, "path": DEEP,
     "comm": "new", "ts": 5, "waker": "interrupt", "waker_tid": 0, "waker_pid": 0},
    {"tid": 2, "state": "preempted", "blocked": 0, "runnable": 9, "path": [MAIN], "ts": 2},
    {"tid": 2, "state": "new", "blocked": 0, "runnable": 4, "path": [], "ts": 0, "weight": 10},
]  # fmt: skip


def ns(frame, *columns):
    return frame.with_columns(pl.col(columns).cast(pl.Int64)).select(columns).rows()


def test_by_state():
    found = offcpu.by_state(offcpu_of(ROWS))
    assert found["state"].to_list() == ["sleeping", "new", "preempted"]
    assert found["periods"].to_list() == [2, 10, 1]
    assert ns(found, "off", "blocked", "runnable") == [(601, 570, 31), (40, 0, 40), (9, 0, 9)]
    assert ns(found, "p50", "p99", "max")[0] == (100, 501, 501)


def test_by_thread_names_it_as_it_is_called_last():
    found = offcpu.by_thread(offcpu_of(ROWS))
    assert found.select("tid", "comm").rows() == [(1, "new"), (2, "")]
    assert found["off"].to_list() == [timedelta(0), timedelta(0)]  # below a microsecond
    assert ns(found, "off") == [(601,), (49,)]


def test_wakers():
    rec = offcpu_of(
        ROWS, processes=[{"ts": 1, "tid": 2, "comm": "b"}, {"ts": 0, "tid": 2, "comm": "a"}]
    )
    found = offcpu.wakers(rec)
    assert found.select("waker", "waker_tid", "waker_comm", "periods").rows() == [
        ("interrupt", 0, None, 1),
        ("task", 2, "b", 1),
    ]
    assert offcpu.wakers(offcpu_of(ROWS))["waker_comm"].to_list() == [None, None]


def test_longest():
    found = offcpu.longest(offcpu_of(ROWS), 2)
    assert ns(found, "off", "blocked", "runnable") == [(501, 500, 1), (100, 70, 30)]
    assert found["state"].to_list() == ["sleeping"] * 2


def test_places():
    rec = offcpu_of(ROWS)
    stacks = rec["offcpu"].frame["stack_id"]
    assert set(offcpu.places(rec, stacks).values()) == {"read ← main", "main"}
    only_kernel = offcpu_of([{**ROWS[0], "path": [WAIT, PROBE]}])
    stacks = only_kernel["offcpu"].frame["stack_id"]
    assert list(offcpu.places(only_kernel, stacks, 1).values()) == [PROBE[0]]


def test_places_in_python():
    path = [("main", "python3", "native"), ("load", "job.py", "python"), ("read", "c", "native")]
    rec = offcpu_of([{**ROWS[0], "path": path}, {**ROWS[0], "path": path[:1]}])
    stacks = rec["offcpu"].frame["stack_id"]
    assert list(offcpu.places(rec, stacks, python=True).values()) == ["load", "main"]


def test_the_flamegraph_leaves_the_probe_out():
    rec = offcpu_of(ROWS)
    tree = flame_tree(rec, "offcpu", by=())
    assert (tree.unit, tree.total) == ("ns", 650)
    assert PROBE[0] not in tree.names
    assert flame_tree(rec, "offcpu", weight="blocked").total == 570
    assert flame_tree(rec, "offcpu", weight="weight").total == 13
    assert folded(rec, "offcpu", by=("state",)).rows() == [
        ("new", 40),
        ("preempted;main", 9),
        ("sleeping;main;read;schedule", 601),
    ]


FRAMES = st.sampled_from([MAIN, READ, WAIT, PROBE])
TIMES = st.integers(0, 10**12)
ROW = st.fixed_dictionaries(
    {
        "tid": st.integers(1, 3),
        "state": st.sampled_from(OFF_STATES),
        "blocked": TIMES,
        "runnable": TIMES,
        "path": st.lists(FRAMES, max_size=5),
        "weight": st.integers(1, 3),
    }
)


@settings(deadline=None, max_examples=60)
@given(st.lists(ROW, min_size=1, max_size=12))
def test_all_sums_agree(rows):
    rec = offcpu_of(rows)
    total = sum((row["blocked"] + row["runnable"]) * row["weight"] for row in rows)
    assert flame_tree(rec, "offcpu").total == total
    for frame in (offcpu.by_state(rec), offcpu.by_thread(rec), offcpu.by_stack(rec)):
        assert frame["off"].cast(pl.Int64).sum() == total
    paths = Counter()
    for row in rows:
        path = list(row["path"])
        while path and path[-1] == PROBE:
            path.pop()
        paths[";".join(name for name, *_ in path)] += (row["blocked"] + row["runnable"]) * row[
            "weight"
        ]
    wanted = {path: weight for path, weight in paths.items() if weight}
    got = dict(folded(rec, "offcpu", by=()).iter_rows())
    assert got == wanted


def test_nothing_there():
    with pytest.raises(MissingTableError, match="offcpu"):
        offcpu.by_state(FakeRecording())
    empty = offcpu_of([])
    assert offcpu.by_thread(empty).is_empty()
    assert offcpu.wakers(empty).is_empty()
    assert offcpu.longest(empty).is_empty()
