"""The bench of sending: what all sides send arrives, and is counted on both ends."""

from __future__ import annotations

import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))

from benches import otlp_send, otlp_spans  # noqa: E402
from benches.harness import Plan  # noqa: E402


def test_rows(monkeypatch):
    monkeypatch.setattr(otlp_spans, "PER_REQUEST", 60)
    result = otlp_send.run(Plan(events=1000, rounds=1))
    rows = {row["name"]: row for row in result.rows}
    assert len(rows) == 12
    for protocol in ("gRPC", "HTTP", "JSON"):
        assert rows[f"workbench, {protocol}"]["spans"] == 8 * 60
        assert rows[f"workbench, a session, {protocol}"]["spans"] >= 500
    assert {name for name in rows if "SDK" in name} == {
        "OpenTelemetry SDK, gRPC",
        "OpenTelemetry SDK, HTTP",
    }
    for row in rows.values():
        assert row["cpu_per_span"] > 0
        assert row["receiver"] > 0
        assert row["memory_mb"] >= 0
    assert rows["workbench, HTTP, gzip"]["wire_mb"] < rows["workbench, HTTP"]["wire_mb"]
    assert rows["workbench, JSON"]["wire_mb"] > rows["workbench, HTTP"]["wire_mb"]


def test_memory_that_is_taken_for_a_while_is_seen():
    with otlp_send.most_memory() as memory:
        taken = bytearray(1 << 26)
        while memory[0] < 1 << 25:
            time.sleep(0.001)
        del taken
    assert memory[0] >= 1 << 25
