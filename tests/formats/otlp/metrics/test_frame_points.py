"""Rows of a frame as data points: what is measured, and which row is the exemplar."""

from datetime import timedelta

import polars as pl
import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Gauge, Sum
from otlp_messages import attribute

from workbench.errors import ExportError
from workbench.formats.otlp.metrics.frame_points import measured, points_of
from workbench.formats.otlp.metrics.metric import Intervals

TIMES = Intervals(0, 100, 10)


def rows(**columns):
    """Rows, each with the span of its number."""
    frame = pl.DataFrame(columns)
    number = pl.Series("span", range(1, frame.height + 1), pl.UInt64)
    ids = {"trace_1": number, "trace_2": number, "span": number}
    return frame.with_columns(**ids)


def read(kind, found):
    (raw,) = found
    return kind.FromString(b"".join(raw.to_pylist())).data_points


def test_values_stay_whole_but_for_histograms():
    given = rows(ts=[1, 2], x=[3, None], d=[timedelta(microseconds=1)] * 2, weight=[2, None])
    assert measured(given, "x", "sum", [])["value"].to_list() == [3]
    assert measured(given, "x", "histogram", []).schema["value"] == pl.Float64
    assert measured(given, "d", "gauge", [])["value"].to_list() == [1000]
    counted = measured(given, None, "sum", ["x"])
    assert counted["weight"].to_list() == [2]  # how many events the other is, nobody knows
    assert counted.columns == ["ts", "weight", "trace_1", "trace_2", "span", "x", "value"]


def test_keys():
    given = rows(ts=[1], x=[1], flag=[True], part=[0.5], big=pl.Series([2**63], dtype=pl.UInt64))
    found = measured(given, "x", "sum", ["flag", "part", "big"])
    assert found.row(0, named=True) | {"flag": "true", "part": "0.5", "big": 2**63} == found.row(
        0, named=True
    )
    for key in ("ts", "weight", "value"):
        with pytest.raises(ExportError, match=f"called {key}"):
            measured(given, "x", "sum", [key])


def test_the_exemplar_of_a_sum_is_its_largest_value():
    given = rows(ts=[1, 2, 3, 11], x=[1, 5, 2, 1], k=["a", "a", "b", "a"])
    found = measured(given, "x", "sum", ["k"])
    points = read(Sum, points_of(found, TIMES, "sum", {"k": "key"}))
    told = [(p.as_int, p.time_unix_nano, p.exemplars[0].span_id[-1]) for p in points]
    assert told == [(6, 10, 2), (7, 20, 4), (2, 10, 3)]
    expected = Sum().data_points.add()
    attribute(expected.attributes, "key", "a")
    assert points[0].attributes == expected.attributes


def test_the_exemplar_of_a_gauge_is_its_last_value():
    given = rows(ts=[2, 1, 12], x=[0.5, 0.25, 4.0])
    points = read(Gauge, points_of(measured(given, "x", "gauge", []), TIMES, "gauge", {}))
    told = [(p.as_double, p.time_unix_nano, p.exemplars[0].as_double) for p in points]
    assert told == [(0.5, 2, 0.5), (4.0, 12, 4.0)]
