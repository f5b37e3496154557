from __future__ import annotations

import polars as pl
import pytest
import synthetic

from workbench.errors import MissingTableError
from workbench.frames.threads import threads
from workbench.recording import Recording


def test_names(tmp_path):
    rec = Recording.open(synthetic.make_session(tmp_path / "a.wb", rows=700))
    found = threads(rec, ["cpu", "syscalls"])
    assert found.rows() == [
        (1, 1, "systemd", "systemd"),
        (1000, 1000, "bash", "bash"),
        (1000, 1001, "worker-0", "bash"),
        (1000, 1002, "bash", "bash"),  # has no row of its own
        (2000, 2000, "job", "job"),
        (2100, 2100, "grep", "grep"),
        (9999, 9999, "thread 9999", "thread 9999"),
    ]
    part = rec.where(tid=1001)
    # The selection cuts the table of processes, too: its main thread is not known then.
    assert threads(part, ["cpu"]).rows() == [(1000, 1001, "worker-0", "worker-0")]
    assert threads(rec, []).is_empty()
    with pytest.raises(MissingTableError):
        threads(rec, ["tcp"])


def test_tables_without_threads_tell_of_none(tmp_path):
    path = synthetic.make_session(tmp_path / "a.wb", kinds=("syscalls_agg",), rows=10)
    found = threads(Recording.open(path), ["syscalls_agg"])
    assert found.is_empty()
    assert found.schema["name"] == pl.String
