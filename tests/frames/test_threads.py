from __future__ import annotations

import json

import polars as pl
import pytest
import synthetic

from workbench.errors import MissingTableError
from workbench.frames.threads import named_threads, threads
from workbench.recording import Recording
from workbench.session import load_profile


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


def test_threads_that_are_known_by_name_alone(tmp_path):
    text = b"".join(
        b"%s %d.000000: 1 cpu-clock: \n\t1000 f (/a)\n\n" % (name, at)
        for at, name in enumerate([b"b", b"a b", b"b"], 1)
    )
    file = tmp_path / "x.perf"
    file.write_bytes(text)
    made = load_profile(file, tmp_path / "a.wb")
    assert "tid" not in made["cpu"].schema.names
    assert named_threads(made, "cpu").rows() == [(1, "a b"), (2, "b")]
    assert threads(made, ["cpu"]).rows() == [(0, 1, "a b", "a b"), (0, 2, "b", "a b")]
    for name, read in (("speedscope", _speedscope), ("firefox", _firefox)):
        made.export(name, tmp_path / name)
        assert read(json.loads((tmp_path / name).read_bytes())) == {"a b": 1, "b": 2}


def _speedscope(document):
    return {one["name"].partition(" (")[0]: len(one["weights"]) for one in document["profiles"]}


def _firefox(document):
    return {one["name"]: one["samples"]["length"] for one in document["threads"]}


def test_processes_whose_threads_are_known_by_name_alone(tmp_path):
    file = tmp_path / "x.folded"
    file.write_text('process 7:"job";f (a.py:3) 5\nprocess 8:"b";f (a.py:3) 6\n')
    made = load_profile(file, tmp_path / "a.wb")
    assert threads(made, ["cpu"]).rows() == [(7, 2, "job", "job"), (8, 1, "b", "b")]
    made.export("speedscope", tmp_path / "out")
    assert _speedscope(json.loads((tmp_path / "out").read_bytes())) == {"job": 1, "b": 1}


def test_rows_that_tell_no_thread_are_those_of_thread_0(tmp_path):
    """As of py-spy, where it knows but the handle of a thread."""
    file = tmp_path / "x.folded"
    file.write_text('process 7:"x";thread (9): a;f (a.py:3) 5\n'
                    'process 7:"x";thread (0x7f12): b;f (a.py:3) 6\nf (a.py:3) 7\n')  # fmt: skip
    made = load_profile(file, tmp_path / "a.wb")
    assert made["cpu"].polars()["tid"].to_list() == [9, None, None]
    assert [row[:3] for row in threads(made, ["cpu"]).rows()] == [
        (0, 0, "thread 0"),
        (7, 0, "b"),
        (7, 9, "a"),
    ]
    for format in ("speedscope", "perfetto", "firefox", "pprof", "otlp-proto", "folded"):
        made.export(format, tmp_path / format)
    for format in ("speedscope", "pprof", "otlp-proto", "folded"):
        again = load_profile(tmp_path / format, tmp_path / f"{format}.wb")
        assert again.flamegraph(by=()).tree.total == 18
