"""The table of processes, from made-up events and from /proc."""

import os
import threading

import numpy as np
import pytest

from workbench.elf import Elf
from workbench.kinds import OBJECTS
from workbench.probe.btf import Btf
from workbench.probe.layout import event_layout
from workbench.recorder.processes import EXEC, EXIT, FORK, MAX_TID, RENAME, ProcessTable
from workbench.schema import PROCESS_EVENTS, PROCESSES, arrow_schema

OFFSET = 10**18
GONE = MAX_TID - 5


@pytest.fixture(scope="module")
def dtype():
    with Elf.open(OBJECTS / "process.bpf.o") as elf:
        return event_layout(Btf.parse(elf.section_bytes(".BTF")), "process_event").dtype


@pytest.fixture
def event(dtype):
    def make(what, pid, ts=0, *, tid=None, ppid=0, comm=b"x", filename=b"", args=b"", code=0):
        records = np.zeros(1, dtype)
        values = {
            "ts": ts, "event": what, "pid": pid, "tid": tid or pid, "ppid": ppid, "comm": comm,
            "filename": filename, "args": args, "args_size": len(args), "exit_code": code,
        }  # fmt: skip
        for name, value in values.items():
            records[name] = value
        return records

    return make


def test_numbers_of_the_events_are_those_of_the_object():
    with Elf.open(OBJECTS / "process.bpf.o") as elf:
        values = Btf.parse(elf.section_bytes(".BTF")).enum("wb_process_event")
    names = {name.removeprefix("WB_PROCESS_").lower(): value for name, value in values.items()}
    assert names == {name: i for i, name in enumerate(PROCESS_EVENTS)}
    assert (FORK, EXEC, RENAME, EXIT) == (1, 2, 3, 4)


def test_a_life(event):
    table = ProcessTable(OFFSET)
    pid, child = GONE, GONE + 1
    args = b"sh\0-c\0echo 'a b'\0"
    steps = [
        event(FORK, pid, 1, ppid=1, comm=b"parent"),
        event(EXEC, pid, 2, ppid=1, comm=b"sh", filename=b"/no/such/sh", args=args),
        event(FORK, child, 3, ppid=pid, comm=b"sh"),
        event(RENAME, pid, 4, ppid=1, comm=b"job\xff\0junk"),
        event(EXIT, child, 5, ppid=pid, comm=b"sh", code=256),
        event(FORK, pid, 6, tid=GONE + 2, ppid=1, comm=b"thread"),
    ]
    happened = [table.events(step) for step in steps]
    assert happened == [[(FORK, pid)], [(EXEC, pid)], [(FORK, child)], [(RENAME, pid)],
                        [(EXIT, child)], []]  # fmt: skip
    batch = table.take()
    batch.validate(full=True)
    assert batch.schema == arrow_schema(PROCESSES)
    rows = batch.to_pylist()
    assert [row["event"] for row in rows] == ["fork", "exec", "fork", "rename", "exit", "fork"]
    assert [row["ts"].value - OFFSET for row in rows] == [1, 2, 3, 4, 5, 6]
    assert rows[1]["exe"] == "/no/such/sh"
    assert rows[1]["cmdline"] == "sh -c 'echo '\"'\"'a b'\"'\"''"
    assert (rows[2]["exe"], rows[2]["cmdline"]) == (rows[1]["exe"], rows[1]["cmdline"])
    assert rows[2]["ppid"] == pid
    assert rows[3]["comm"] == "job\N{REPLACEMENT CHARACTER}"
    assert [row["exit_code"] for row in rows] == [None] * 4 + [256, None]
    assert (rows[5]["pid"], rows[5]["tid"], rows[5]["exe"]) == (pid, GONE + 2, "/no/such/sh")
    assert table.take() is None


def test_text_that_is_not_utf8_or_too_long(event, dtype):
    table = ProcessTable(0)
    size = dtype["args"].itemsize
    table.events(event(EXEC, GONE, filename=b"\xff" * 300, args=b"\xfe" * size, comm=b"y" * 16))
    (row,) = table.take().to_pylist()
    assert row["comm"] == "y" * 16
    assert len(row["exe"]) == dtype["filename"].itemsize
    assert row["cmdline"].count("\N{REPLACEMENT CHARACTER}") == size


def test_snapshot_of_this_process():
    go = threading.Event()
    thread = threading.Thread(target=go.wait)
    thread.start()
    try:
        table = ProcessTable(OFFSET)
        table.snapshot(os.getpid(), 5)
        rows = table.take().to_pylist()
    finally:
        go.set()
        thread.join()
    assert {os.getpid(), thread.native_id} <= {row["tid"] for row in rows}
    assert {(row["event"], row["pid"], row["ppid"], row["ts"].value) for row in rows} == {
        ("snapshot", os.getpid(), os.getppid(), 5)
    }
    assert all("py" in row["exe"] for row in rows)


def numbers(*values):
    return np.array(values, np.uint32)


def test_threads_are_seen_once():
    table = ProcessTable(0)
    me = os.getpid()
    table.see(numbers(me, me, GONE), numbers(me, me, GONE + 1), 7)
    rows = table.take().to_pylist()
    assert [row["tid"] for row in rows].count(me) == 1
    gone = [row for row in rows if row["pid"] == GONE]
    assert [(row["tid"], row["comm"], row["exe"]) for row in gone] == [(GONE + 1, "", "")]
    table.see(numbers(me, GONE), numbers(me, GONE + 1), 8)
    assert table.take() is None
    table.see(numbers(), numbers(), 9)
    assert table.take() is None


def test_a_fork_that_waits_is_taken_before_proc_is_asked(event):
    asked = []

    def catch_up():
        asked.append(1)
        table.events(event(FORK, GONE, 1))

    table = ProcessTable(0, catch_up)
    table.see(numbers(GONE, GONE), numbers(GONE, GONE), 7)
    table.see(numbers(GONE), numbers(GONE), 8)
    assert [(row["event"], row["tid"]) for row in table.take().to_pylist()] == [("fork", GONE)]
    assert asked == [1]


def test_one_thread_is_no_reason_to_miss_another():
    table = ProcessTable(0)
    me = os.getpid()
    table.see(numbers(me, me), numbers(me, me), 7)
    table.take()
    table.see(numbers(me, me, GONE), numbers(me, me, GONE), 8)
    assert [row["tid"] for row in table.take().to_pylist()] == [GONE]


def test_what_an_event_told_needs_no_look(event):
    table = ProcessTable(0)
    table.events(event(FORK, GONE, 1))
    table.take()
    table.see(numbers(GONE), numbers(GONE), 2)
    assert table.take() is None
