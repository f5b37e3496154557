"""All spans of a session: as many as rows, each once, whatever the slices and requests."""

import pytest
from otlp_rows import DNS, HTTP, TCP
from otlp_sessions import T0, attributes, last_points, messages, spans, synthetic, written

from workbench.formats.otlp import slices
from workbench.formats.otlp.traces import traces
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


def test_unusual_values(tmp_path):
    """Values that no capture has, but a damaged or hostile session may: told as they are."""
    big, low = 2**63 - 1, -(2**63)
    rows = [
        {"ts": big, "latency": big, "ret": low, "pid": 2**32 - 1, "tid": 2**32 - 1, "nr": 65535},
        {"ts": low, "latency": low, "ret": big, "pid": 1000, "tid": 1001, "nr": 511},
        {"ts": -5, "latency": -7, "ret": -4095, "pid": 1000, "tid": 1001},
        {"ts": T0, "latency": 0, "pid": 1000, "tid": 1001},
    ]
    rec = written(tmp_path, syscalls=rows)
    found = spans(messages(rec, "traces"))
    calls = [s for s in found if "workbench.syscall.return_value" in attributes(s)]
    assert [attributes(s)["workbench.syscall.return_value"] for s in calls] == [low, big, -4095, 0]
    assert [s.start_time_unix_nano for s in calls] == [big, 2**63, 2**64 - 5, T0]
    assert attributes(calls[2])["error.type"] == "E4095"
    points = last_points(messages(rec, "metrics"), "workbench.syscall.duration")
    assert sum(point.count for point in points) == 4
    assert sum(sum(point.negative.bucket_counts) for point in points) == 2
    assert sum(point.zero_count for point in points) == 1
    assert not any(point.HasField("sum") for point in points if point.min < 0)
