"""Histograms of the kernel: every count is where it was."""

import pyarrow as pa
import pytest
from network_rows import layout_of
from otlp_sessions import attributes, last_points, messages, metrics, synthetic
from synthetic import DURATION, START

from workbench.formats.otlp.metrics.counted_metrics import COUNTED
from workbench.kinds import all_kinds


@pytest.mark.parametrize("each", COUNTED, ids=lambda each: f"{each.table} {each.histogram}")
def test_columns_exist(each):
    kind = each.table.removesuffix("_agg")
    aggregation = all_kinds()[kind].aggregation
    assert aggregation.table == each.table
    fields = {
        field.name: field.dtype.shape
        for struct in (aggregation.key, aggregation.value)
        for field in layout_of(kind, struct).fields
    }
    assert fields[each.histogram] == (64,)
    assert each.sum in fields
    keys = {field.name for field in layout_of(kind, aggregation.key).fields} - {"pad"}
    assert keys <= set(each.by)  # or series would be told twice
    assert set(each.by) <= {*fields, "name"}


def test_counts(tmp_path):
    rec = synthetic(tmp_path, kinds=("syscalls_agg",))
    last = last_points(messages(rec, "metrics"), "workbench.syscall.duration")
    table = rec["syscalls_agg"].arrow()
    assert isinstance(table, pa.Table)
    rows = {
        (row["pid"], row["name"]): row
        for row in table.to_pylist()
        if row["ts"].value == START + DURATION
    }
    assert len(last) == len([r for r in rows.values() if r["calls"]])
    for point in last:
        row = rows[attributes(point)["process.pid"], attributes(point)["workbench.syscall.name"]]
        assert attributes(point)["workbench.syscall.number"] == row["nr"]
        assert point.count == row["calls"]
        assert point.sum == row["latency_sum"].value
        assert point.scale == 0
        assert point.zero_count == row["latency_hist"][0]
        assert point.zero_threshold == 1
        counts = [0] * point.positive.offset + list(point.positive.bucket_counts)
        assert counts[1:] == row["latency_hist"][1 : len(counts)]
        assert not any(row["latency_hist"][len(counts) :])
        assert (point.start_time_unix_nano, point.time_unix_nano) == (START, START + DURATION)


def test_a_window_has_none(tmp_path):
    rec = synthetic(tmp_path, kinds=("syscalls_agg",)).window(1.0, 2.0)
    names = {metric.name for metric in metrics(messages(rec, "metrics"))}
    assert "workbench.syscall.duration" not in names
    assert "workbench.events.produced" in names
