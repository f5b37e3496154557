"""Log records of losses, and of any frame."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import polars as pl
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ScopeLogs
from otlp_sessions import attributes, messages, records, synthetic

from workbench.formats.otlp import logs


def test_losses_are_told(tmp_path):
    rec = synthetic(tmp_path, 1000)
    found = records(messages(rec, "logs"))
    assert len(found) == 6
    assert (
        sum(attributes(each)["workbench.events.dropped"] for each in found)
        == rec.losses["dropped"].sum()
    )
    one = found[0]
    assert one.event_name == "workbench.loss"
    assert (one.severity_number, one.severity_text) == (13, "WARN")
    assert one.body.string_value == "20 of 520 events of syscalls on CPU 0 were lost: ring_full"
    assert attributes(one)["workbench.reason"] == "ring_full"
    assert one.time_unix_nano == one.observed_time_unix_nano == rec.manifest.stop_ns


def test_problems_are_told(tmp_path, monkeypatch):
    rec = synthetic(tmp_path, 10, kinds=("cpu",))
    changed = replace(rec.manifest, problems=("Häßlich.", "Twice."), losses=())
    monkeypatch.setattr(type(rec), "manifest", changed)
    found = records(messages(rec, "logs"))
    assert [each.body.string_value for each in found] == ["Häßlich.", "Twice."]
    assert {each.event_name for each in found} == {"workbench.problem"}
    monkeypatch.setattr(type(rec), "manifest", replace(changed, problems=()))
    assert not messages(rec, "logs")


def test_any_frame():
    frame = pl.DataFrame(
        {
            "ts": [datetime(2026, 1, 1, tzinfo=UTC), None],
            "text": ["odd", None],
            "score": [0.5, None],
            "pid": [7, None],
            "comm": ["a", None],
        },
        schema_overrides={"ts": pl.Datetime("ns", "UTC")},
    )
    u64 = np.array([0, 9], np.uint64)
    keys = {"score": "s", "pid": "process.pid", "comm": "thread.name"}
    raw = logs.records(
        frame, "e", keys, severity=logs.ERROR, observed_ns=5, spans=((u64, u64), u64)
    )
    first, second = ScopeLogs.FromString(b"".join(raw.to_pylist())).log_records
    expected = LogRecord(
        time_unix_nano=1767225600 * 10**9,
        observed_time_unix_nano=5,
        severity_number=17,
        severity_text="ERROR",
        event_name="e",
    )
    expected.body.string_value = "odd"
    expected.attributes.add(key="s").value.double_value = 0.5
    expected.attributes.add(key="process.pid").value.int_value = 7
    expected.attributes.add(key="thread.name").value.string_value = "a"
    assert first == expected
    assert attributes(second) == {}
    assert second.body.string_value == ""
    assert second.span_id == (9).to_bytes(8, "big")
    assert second.trace_id == (9).to_bytes(8, "big") * 2
    assert logs.records(frame.clear(), "e", keys).to_pylist() == []
