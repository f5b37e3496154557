"""All spans of a session: as many as rows, each once, whatever the slices and requests."""

import pytest
from otlp_rows import DNS, HTTP, TCP
from otlp_sessions import T0, attributes, messages, spans, synthetic, written

from workbench.formats.otlp import slices, traces
from workbench.frames.processes import processes
from workbench.kinds import all_kinds
from workbench.recording import Recording


@pytest.mark.parametrize("name", ["slow-api", "orders"])
def test_datasets(name):
    rec = Recording.open(f"datasets/{name}.wb")
    if name == "slow-api":
        rec = rec.window(0.0, 0.4)
    found = spans(messages(rec, "traces"))
    rows = sum(rec[t].num_rows for t in ("syscalls", "offcpu") if t in rec.tables)
    own = rec["processes"].polars()
    threads = own.select("tid").n_unique()
    assert rows > 1000
    assert len(found) == rows + len(processes(rec)) + threads  # no number was used twice
    assert len({s.span_id for s in found}) == len(found)
    known = {s.span_id: s for s in found}
    assert all(s.parent_span_id in known for s in found if s.parent_span_id)
    assert all(known[s.parent_span_id].trace_id == s.trace_id for s in found if s.parent_span_id)


def test_slices_and_requests_change_nothing(tmp_path, monkeypatch):
    rec = synthetic(tmp_path, 2_000)
    whole = spans(messages(rec, "traces"))
    rows = sum(rec[table].num_rows for table in ("syscalls", "offcpu"))
    assert len(whole) == rows + 5 + 6
    monkeypatch.setattr(slices.slices, "__kwdefaults__", {"rows": 33})
    again = messages(rec, "traces", max_bytes=5_000)
    assert len(again) > 100
    assert spans(again) == whole


def test_selections(tmp_path):
    rec = synthetic(tmp_path, 2_000).where(pid=2000, expr="latency > 1000").window(2.0, 8.0)
    found = spans(messages(rec, "traces"))
    calls = [s for s in found if "workbench.syscall.return_value" in attributes(s)]
    assert len(calls) == rec["syscalls"].num_rows > 0
    assert {attributes(s)["process.pid"] for s in found} == {2000}


def test_tables(tmp_path):
    assert set(traces.SOURCES) | set(traces.PAIRED) <= set(all_kinds())
    rec = written(tmp_path, http=HTTP, dns=DNS, tcp=TCP, locks=[{"ts": T0, "event": "wait"}])
    assert len(spans(messages(rec, "traces"))) == 4 + 2 + 1 + 1 + 5 + 6
