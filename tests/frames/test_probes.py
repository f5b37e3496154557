from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from fake_recording import FakeRecording

from workbench.errors import MissingTableError
from workbench.frames import probes

AT = {"probe": "tracepoint:syscalls:sys_exit_read", "filter": "", "aggregate": [], "by": []}


def seen(frame: pl.DataFrame, **parameters: Any) -> FakeRecording:
    return FakeRecording({"kinds": {"reads": AT | parameters, "cpu": {"hz": 99}}}, reads=frame)


def test_names_and_descriptions():
    rec = seen(pl.DataFrame({"ts": [1]}), filter="ret > 0", aggregate=["count"], by=["comm", "cpu"])
    assert probes.names(rec) == ["reads"]
    assert probes.counted(rec, "reads")
    assert probes.describe(rec, "reads") == (
        "tracepoint:syscalls:sys_exit_read, where ret > 0, count, by comm, cpu"
    )
    assert not probes.counted(rec, "cpu")


def test_last_snapshot_counts():
    rows = pl.DataFrame(
        {
            "ts": [1, 2, 2, 2],
            "cpu": [9, 1, 0, 5],
            "count": [50, 3, 70, 3],
            "unreadable": [0, 0, 0, 0],
        }
    )
    rec = seen(rows, aggregate=["count"], by=["cpu"])
    assert probes.totals(rec, "reads").rows() == [(0, 70), (1, 3), (5, 3)]
    unread = rows.with_columns(unreadable=pl.lit(4))
    assert probes.totals(seen(unread, aggregate=["count"], by=["cpu"]), "reads").columns == [
        *("cpu", "count", "unreadable"),
    ]
    none = seen(rows.clear(), aggregate=["count"], by=["cpu"])
    assert probes.totals(none, "reads").is_empty()


def test_events_are_in_order_and_without_stacks():
    rows = pl.DataFrame({"ts": [2, 1], "ret": [20, 10], "stack_id": [0, 0], "stack_status": [1, 1]})
    same = rows.with_columns(weight=pl.lit(1))
    assert probes.events(seen(same), "reads").to_dict(as_series=False) == {
        "ts": [1, 2],
        "ret": [10, 20],
    }
    assert probes.events(seen(same), "reads", 1).rows() == [(1, 10)]
    assert probes.events(seen(same.drop("ts")), "reads", 1).rows() == [(20,)]
    weighed = rows.with_columns(weight=pl.lit(3))
    assert probes.events(seen(weighed), "reads").columns == ["ts", "ret", "weight"]


def test_histogram_of_all_groups():
    buckets = [[0] * 64 for _ in range(3)]
    buckets[1][3], buckets[2][3], buckets[2][5] = 1, 2, 4
    rows = pl.DataFrame({"ts": [1, 2, 2], "comm": ["a", "a", "b"]}).with_columns(
        pl.Series("hist_ret", buckets, pl.Array(pl.UInt64, 64)),
        pl.Series("hist_latency", buckets, pl.Array(pl.UInt64, 64)),
    )
    rec = seen(rows, aggregate=["hist(ret)", "hist(latency)"], by=["comm"])
    found = probes.histogram(rec, "reads", "ret")
    assert found.columns == ["low", "high", "events"]
    assert found.rows() == [(8, 16, 3), (16, 32, 0), (32, 64, 4)]
    assert probes.histogram(rec, "reads", "latency").columns[0] == "low_ns"
    with pytest.raises(MissingTableError):
        probes.histogram(rec, "reads", "size")


def test_table_that_is_not_there():
    with pytest.raises(MissingTableError):
        probes.events(FakeRecording(), "reads")
