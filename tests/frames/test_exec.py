"""The tree of processes, made from events by hand."""

import polars as pl
import pytest
from fake_recording import FakeRecording

from workbench.errors import MissingTableError
from workbench.frames import exec as frames

ROWS = [
    {"ts": 5, "event": "exec", "pid": 10, "ppid": 1, "comm": "make", "filename": "/bin/make",
     "cmdline": "make all"},
    {"ts": 20, "event": "fork", "pid": 12, "ppid": 10, "comm": "make"},
    {"ts": 10, "event": "fork", "pid": 11, "ppid": 10, "comm": "make"},
    {"ts": 11, "event": "failed", "pid": 11, "ppid": 10, "comm": "make", "errno": 2,
     "filename": "/a/cc"},
    {"ts": 12, "event": "exec", "pid": 11, "ppid": 10, "comm": "cc", "filename": "/b/cc",
     "cmdline": "cc 'x y'"},
    {"ts": 13, "event": "fork", "pid": 13, "ppid": 11, "comm": "cc"},
    {"ts": 14, "event": "exit", "pid": 13, "ppid": 11, "comm": "cc", "exit_code": 9,
     "duration": 1},
    {"ts": 15, "event": "exit", "pid": 11, "ppid": 10, "comm": "cc", "exit_code": 3 << 8,
     "duration": 5},
    {"ts": 30, "event": "fork", "pid": 11, "ppid": 12, "comm": "again"},
]  # fmt: skip


def test_children_follow_their_parent():
    found = frames.tree(FakeRecording(exec=ROWS))
    assert found.select("depth", "name", "pid", "ppid", "programs", "failed").rows() == [
        (0, "make", 10, 1, 1, 0),
        (1, "  cc", 11, 10, 1, 1),
        (2, "    cc", 13, 11, 0, 0),
        (1, "  make", 12, 10, 0, 0),
        (2, "    again", 11, 12, 0, 0),  # the same number, another process
    ]
    assert found["cmdline"].to_list() == ["make all", "cc 'x y'", None, None, None]
    assert found["exit_status"].to_list() == [None, 3, None, None, None]
    assert found["exit_signal"].to_list() == [None, None, 9, None, None]
    assert found["duration"].cast(pl.Int64).to_list() == [None, 5, 1, None, None]
    assert found["started"].null_count() == 1
    assert found["ended"].null_count() == 3


def test_failures():
    assert frames.failures(FakeRecording(exec=ROWS)).rows() == [("/a/cc", "ENOENT", 1)]
    odd = [{"event": "failed", "filename": "x", "errno": 4000}] * 2
    assert frames.failures(FakeRecording(exec=odd)).rows() == [("x", "errno 4000", 2)]


def test_a_process_that_is_its_own_parent_is_a_root():
    found = frames.tree(FakeRecording(exec=[{"ts": 1, "event": "exec", "pid": 5, "ppid": 5}]))
    assert found["depth"].to_list() == [0]


def test_nothing_there():
    with pytest.raises(MissingTableError, match="record exec"):
        frames.tree(FakeRecording())
    assert frames.tree(FakeRecording(exec=[])).is_empty()
    assert frames.failures(FakeRecording(exec=[])).is_empty()
