from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest

from workbench.views import cells, units

HIST = pl.Array(pl.UInt64, 64)


def log2(**counts: int) -> list[int]:
    return [counts.get(f"b{at}", 0) for at in range(64)]


@pytest.mark.parametrize(
    ("column", "shown"),
    [
        (pl.Series("pid", [12345, None]), ["12345", "–"]),
        (pl.Series("remote_port", [12345]), ["12345"]),
        (pl.Series("runs", [12345]), ["12,345"]),
        (pl.Series("lock", [4096]), ["0x1000"]),
        (pl.Series("remote_address", ["::1"]), ["::1"]),
        (pl.Series("bytes_sent", [4096]), ["4 KiB"]),
        (pl.Series("live_bytes", [0]), ["0 B"]),
        (pl.Series("hit_ratio", [0.5, None]), ["50.0%", "–"]),
        (pl.Series("avg_ret", [12.345, -1.5]), ["12.3", "-1.5"]),
        (pl.Series("partial", [True, False]), ["yes", "no"]),
        (pl.Series("args", [[1, 2]], pl.List(pl.UInt64)), ["1, 2"]),
        (pl.Series("name", ["  kid"]), ["\u2003kid"]),
        (pl.Series("waited", [1500]).cast(pl.Duration("ns")), ["1.5 µs"]),
        (pl.Series("ts", [datetime(2026, 1, 2, 3, 4, 5, 6, UTC)]), ["03:04:05.000006"]),
        (pl.Series("hist_ret", [log2(b2=8, b4=1), log2()], HIST), ["█ ▂ 4–31", "–"]),
        (pl.Series("hist_latency", [log2(b10=3)], HIST), ["█ 1.02 µs–2.05 µs"]),
    ],
)
def test_cells(column, shown):
    assert cells.cells(column) == shown


def test_first_and_last_bucket():
    assert cells.histogram(log2(b0=1), units.count) == "█ 0–1"
    assert cells.histogram(log2(b63=5), str).endswith(str(2**64 - 1))


def test_alignment():
    assert cells.is_right(pl.Series("n", [1]))
    assert cells.is_right(pl.Series("t", [1]).cast(pl.Duration("ns")))
    assert not cells.is_right(pl.Series("comm", ["a"]))
