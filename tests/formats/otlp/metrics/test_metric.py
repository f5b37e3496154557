"""Metrics in parts, and how time is divided."""

import numpy as np
import polars as pl
import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import ScopeMetrics
from otlp_sessions import attributes, points, synthetic
from synthetic import DURATION, SECOND, START

from workbench.errors import ExportError
from workbench.formats.otlp.lives import People
from workbench.formats.otlp.metrics import metric
from workbench.formats.otlp.metrics import points as made_points
from workbench.formats.otlp.metrics.metric import Intervals, Metric, series_attributes


def made(form, count):
    numbers = np.arange(count)
    return Metric("n", "By", "what", form, made_points.numbers([], numbers, numbers, numbers))


@pytest.mark.parametrize(("form", "field"), [("sum", "sum"), ("gauge", "gauge")])
def test_parts_hold_all_points(form, field):
    parts = list(made(form, 50).parts(200))
    assert len(parts) > 5
    values = []
    for data, count in parts:
        assert len(data) <= 200
        (found,) = ScopeMetrics.FromString(data).metrics
        assert (found.name, found.unit, found.description) == ("n", "By", "what")
        assert found.WhichOneof("data") == field
        assert len(points(found)) == count
        values += [point.as_int for point in points(found)]
        if form == "sum":
            assert found.sum.is_monotonic
            assert found.sum.aggregation_temporality == 2  # cumulative
    assert values == list(range(50))


def test_a_point_that_does_not_fit():
    with pytest.raises(ExportError, match="A point of n has"):
        list(made("sum", 1).parts(60))


def test_intervals(tmp_path, monkeypatch):
    rec = synthetic(tmp_path, 10)
    people = People(rec)
    whole = Intervals.of(rec, people)
    assert whole == Intervals(START, START + DURATION, SECOND)
    monkeypatch.setattr(metric, "INTERVALS", 4)
    assert Intervals.of(rec, people).length == 3 * SECOND
    window = Intervals.of(rec.window(2.0, 3.5), people)
    assert window == Intervals(START + 2 * SECOND, START + 3 * SECOND + SECOND // 2, SECOND)
    ts = pl.DataFrame({"ts": window.start + np.array([-5, 0, SECOND - 1, SECOND, 9 * SECOND])})
    found = ts.select(window.number(pl.col("ts")).alias("interval"))
    assert found["interval"].to_list() == [0, 0, 0, 1, 1]
    assert window.ends(found).tolist() == [window.start + SECOND] * 3 + [window.end] * 2


def test_attributes_of_series():
    rows = pl.DataFrame({"a": ["x", None, ""], "b": [1, 2, None]})
    columns = series_attributes(7, rows, {"a": "A", "b": "B"})
    raw = made_points.numbers(columns, np.zeros(3), np.zeros(3), np.zeros(3, np.int64))
    from opentelemetry.proto.metrics.v1.metrics_pb2 import Gauge

    found = Gauge.FromString(b"".join(raw.to_pylist())).data_points
    assert [attributes(each) for each in found] == [{"A": "x", "B": 1}, {"B": 2}, {}]
