from __future__ import annotations

import polars as pl
import pytest
import span_session
import synthetic

from workbench.frames.spans import KINDS, span_kinds, spans
from workbench.recording import Recording


@pytest.fixture(scope="module")
def rec(tmp_path_factory):
    return Recording.open(span_session.make_session(tmp_path_factory.mktemp("spans") / "a.wb"))


def test_requests_queries_and_processes(rec):
    found = []
    for kind in span_kinds(rec):
        assert not kind.nested
        for batch in spans(rec, kind):
            begin = (batch["ts"] - rec.manifest.start_ns) / span_session.MS
            length = batch["duration"] / span_session.MS
            found += zip(batch["name"], begin, length, strict=True)
    assert sorted(found) == span_session.SPANS


def test_details(rec):
    by_table = {kind.table: pl.concat(spans(rec, kind)) for kind in span_kinds(rec)}
    assert by_table["http"].sort("status")["status"].to_list() == [200, 500]
    assert by_table["dns"]["rcode"].to_list() == ["noerror"]
    assert by_table["exec"]["ppid"].to_list() == [1000, 1]


def test_selection_and_table(rec):
    (kind,) = span_kinds(rec, "http")
    part = rec.where(expr=pl.col("status") == 500)
    assert pl.concat(spans(part, kind))["name"].to_list() == ['POST /"b\\']
    assert span_kinds(rec, "frames") == []


def test_calls_and_time_off_the_cpu(tmp_path):
    path = synthetic.make_session(tmp_path / "a.wb", kinds=("syscalls", "offcpu"), rows=100)
    rec = Recording.open(path)
    for kind in span_kinds(rec):
        assert kind.nested
        found = pl.concat(spans(rec, kind))
        rows = rec[kind.table].polars()
        assert found["ts"].to_list() == rows["ts"].to_physical().to_list()
        parts = ("latency",) if kind.table == "syscalls" else ("blocked", "runnable")
        length = sum(rows[part].to_physical() for part in parts)
        assert found["duration"].to_list() == length.to_list()


def test_names_of_tables_are_unique():
    assert len({kind.table for kind in KINDS}) == len(KINDS)
