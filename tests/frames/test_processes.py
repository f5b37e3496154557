from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from fake_recording import FakeRecording

from workbench.errors import MissingTableError
from workbench.frames.processes import processes, with_comm

ROWS = [
    {"ts": 0, "event": "snapshot", "pid": 1, "tid": 1, "comm": "init", "cmdline": "/init"},
    {"ts": 5, "event": "fork", "pid": 9, "tid": 9, "ppid": 1, "comm": "sh"},
    {"ts": 6, "event": "exec", "pid": 9, "tid": 9, "ppid": 1, "comm": "job", "exe": "/bin/job"},
    {"ts": 7, "event": "fork", "pid": 9, "tid": 10, "ppid": 1, "comm": "worker"},
    {"ts": 8, "event": "exit", "pid": 9, "tid": 10, "ppid": 1, "comm": "worker", "exit_code": 9},
    {"ts": 9, "event": "exit", "pid": 9, "tid": 9, "ppid": 1, "comm": "job", "exit_code": 3 << 8},
    {"ts": 20, "event": "fork", "pid": 9, "tid": 9, "ppid": 1, "comm": "again"},
    {"ts": 21, "event": "exit", "pid": 9, "tid": 9, "ppid": 1, "comm": "again", "exit_code": 11},
]


def test_one_row_per_process() -> None:
    rows = [{"exit_code": None, **row} for row in ROWS]
    table = processes(FakeRecording(processes=rows[::-1]))
    assert table.select("pid", "comm", "exe", "threads", "exit_status", "exit_signal").rows() == [
        (1, "init", "", 1, None, None),
        (9, "job", "/bin/job", 2, 3, None),
        (9, "again", "", 1, None, 11),
    ]
    assert table["started"].is_null().to_list() == [True, False, False]
    assert table["ended"].is_null().to_list() == [True, False, False]


def test_process_known_only_by_a_thread() -> None:
    table = processes(
        FakeRecording(processes=[{"event": "snapshot", "pid": 4, "tid": 5, "comm": "t"}])
    )
    assert table.select("pid", "comm", "threads").rows() == [(4, "t", 1)]


def test_empty_and_missing() -> None:
    assert processes(FakeRecording(processes=[])).height == 0
    with pytest.raises(MissingTableError, match="processes"):
        processes(FakeRecording(cpu=[]))


def test_real_session(tmp_path: Path) -> None:
    synthetic = pytest.importorskip("synthetic")
    from workbench.recording import Recording

    path = synthetic.make_session(tmp_path / "x.wb", rows=100)
    with Recording.open(path) as rec:
        table = processes(rec)
    assert table.select("pid", "comm").rows() == [
        (1, "systemd"),
        (1000, "bash"),
        (2000, "job"),
        (2100, "cat"),
        (2100, "grep"),
    ]


def test_rows_of_processes_have_their_last_name() -> None:
    rows = [{"pid": 7, "comm": "sh"}, {"pid": 8, "comm": "cat"}, {"pid": 7, "comm": "ls"}]
    found = pl.DataFrame({"calls": [3, 2, 1], "pid": [8, 7, 9]})
    named = with_comm(FakeRecording(files=rows), "files", found)
    assert named.columns == ["pid", "comm", "calls"]
    assert named.rows() == [(8, "cat", 3), (7, "ls", 2), (9, None, 1)]
