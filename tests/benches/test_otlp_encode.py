"""The bench of OTLP: what all sides encode is the same."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))

from benches import otlp_encode, otlp_peers  # noqa: E402
from benches.decode import layouts  # noqa: E402
from benches.harness import Plan  # noqa: E402
from benches.otlp_session import THREADS, session  # noqa: E402
from workbench.formats.otlp.encode import requests  # noqa: E402


def test_the_session_is_what_it_says(tmp_path):
    rec = session(tmp_path / "b.wb", layouts(), 2000)
    assert rec["syscalls"].num_rows == rec["cpu"].num_rows == 2000
    assert rec["syscalls"].polars()["tid"].n_unique() == THREADS
    found = [ExportTraceServiceRequest.FromString(r.body) for r in requests(rec, ("traces",))]
    spans = [s for message in found for s in message.resource_spans[0].scope_spans[0].spans]
    calls = [s for s in spans if any(a.key == "thread.name" for a in s.attributes)][THREADS:]
    assert len(calls) == 2000
    for span, row in zip(calls, otlp_encode.rows_of(rec, 2000), strict=True):
        assert span.name == row["name"]
        assert {a.key for a in span.attributes} == set(row["attributes"])
        assert span.status.message == row["error"]


@pytest.mark.filterwarnings("default")
def test_rows(monkeypatch):
    monkeypatch.setattr(otlp_encode, "PEER_ROWS", 100)
    monkeypatch.setattr(otlp_encode, "POINT_COUNT", 10)
    result = otlp_encode.run(Plan(events=4000, rounds=1))
    assert len(result.rows) == 17
    assert all(row["per_s"] > 0 for row in result.rows)
    sizes = {row["name"]: row["bytes"] for row in result.rows}
    for own, peer in (
        (otlp_encode.SPANS, otlp_encode.SDK_SPANS),
        (otlp_encode.FOUR, otlp_encode.SDK_FOUR),
        (otlp_encode.POINTS, otlp_encode.SDK_POINTS),
        (otlp_encode.JSON_SPANS, otlp_encode.SDK_JSON_SPANS),
    ):
        assert 0.7 < sizes[own] / sizes[peer] < 1.5  # the same work


def test_points_of_the_sdk():
    count, encode = otlp_peers.sdk_points(7)
    assert count == 7
    assert encode() > 0
