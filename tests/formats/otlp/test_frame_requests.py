"""Metrics and logs of frames that a user computed, read with the official classes."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from otlp_receivers import HttpReceiver
from otlp_sessions import (
    CLASSES,
    T0,
    attributes,
    metrics,
    points,
    records,
    spans,
    synthetic,
)
from otlp_sessions import messages as of_session
from synthetic import DURATION, SECOND, START

import workbench as wb
from workbench.errors import ExportError
from workbench.formats.otlp import logs
from workbench.formats.otlp.frame_requests import log_requests, metric_requests

FRAME = pl.DataFrame(
    {
        "ts": [T0, T0 + 1, T0 + 2, T0 + SECOND, T0 + 3],
        "pid": [1000, 1000, 1000, 1000, 4_000_000],
        "tid": [1001, 1001, 1001, 1001, 4_000_000],
        "size": [5, 7, None, 2, 9],
        "path": ["a", "a", "a", "a", None],
    }
)


@pytest.fixture
def rec(tmp_path):
    return synthetic(tmp_path, 100)


def made(found):
    """The metrics in requests."""
    result = []
    for request in found:
        message = CLASSES["metrics"].FromString(request.body)
        part = metrics([message])
        assert request.items == sum(len(points(metric)) for metric in part)
        result += part
    return result


def of_thread(rec, tid):
    found = spans(of_session(rec, "traces"))
    return next(s for s in found if attributes(s).get("thread.id") == tid)


def test_a_counter(rec):
    keys = {"pid": "process.pid", "path": "file.path"}
    options = {"value": "size", "form": "sum", "unit": "By", "meaning": "bytes", "by": keys}
    (metric,) = made(metric_requests(rec, FRAME, "app.bytes", **options))
    assert (metric.name, metric.unit, metric.description) == ("app.bytes", "By", "bytes")
    assert (metric.sum.is_monotonic, metric.sum.aggregation_temporality) == (True, 2)
    first, second, alone = metric.sum.data_points
    assert [first.as_int, second.as_int, alone.as_int] == [12, 14, 9]
    assert attributes(first) == {"process.pid": 1000, "file.path": "a"}
    assert attributes(alone) == {"process.pid": 4_000_000}
    assert first.start_time_unix_nano == START
    assert second.time_unix_nano - first.time_unix_nano == SECOND
    (example,) = first.exemplars
    thread = of_thread(rec, 1001)
    assert (example.span_id, example.trace_id) == (thread.span_id, thread.trace_id)
    assert (example.as_double, example.time_unix_nano) == (7, T0 + 1)
    assert not alone.exemplars  # nobody knows that thread


def test_events_are_counted_by_weight(rec):
    weighed = FRAME.with_columns(weight=pl.Series([10, 1, 1, 1, 1]))
    (metric,) = made(metric_requests(rec, weighed, "app.events", by=["pid"]))
    assert [point.as_int for point in metric.sum.data_points] == [12, 13, 1]


def test_a_gauge_has_the_last_value(rec):
    shuffled = FRAME.reverse().with_columns(pl.col("size").cast(pl.Float32) / 2)
    (metric,) = made(metric_requests(rec, shuffled, "app.level", value="size", form="gauge"))
    first, second = metric.gauge.data_points
    assert (first.as_double, first.time_unix_nano) == (4.5, T0 + 3)
    assert (second.as_double, second.time_unix_nano) == (1, T0 + SECOND)
    assert first.start_time_unix_nano == 0
    assert second.exemplars[0].as_double == 1


def test_a_histogram_is_that_of_the_session(rec):
    """The frame of a table gives what the table itself does; its spans are those of threads."""
    frame = rec["syscalls"].polars()
    keys = {"pid": "process.pid", "name": "workbench.syscall.name"}
    (mine,) = made(metric_requests(rec, frame, "app.calls", value="latency", unit="ns", by=keys))
    count, total = 0, 0
    last = {tuple(attributes(point).values()): point for point in points(mine)}
    for (pid, name), rows in frame.group_by("pid", pl.col("name").cast(pl.String)):
        point = last[pid, name]
        latency = rows["latency"].cast(pl.Int64).to_numpy()
        assert (point.min, point.max) == (latency.min(), latency.max())
        assert point.zero_count + sum(point.positive.bucket_counts) == point.count
        count, total = count + point.count, total + point.sum
    assert len(last) == frame.select(pl.struct("pid", "name").n_unique()).item()
    assert count == frame.height
    assert total == frame["latency"].cast(pl.Int64).sum()
    # Of threads that are not known, the process.
    own = {"thread.id", "process.parent_pid"}
    found = spans(of_session(rec, "traces"))
    known = {s.span_id for s in found if own & {*attributes(s)}}
    given = {example.span_id for point in points(mine) for example in point.exemplars}
    assert given
    assert given <= known


def test_frames_without_a_time_are_of_the_end(rec):
    frame = rec.losses
    (metric,) = made(
        metric_requests(rec, frame, "app.lost", value="dropped", form="sum", by=["kind"])
    )
    found = {attributes(point)["kind"]: point.as_int for point in metric.sum.data_points}
    assert found == dict(frame.group_by("kind").agg(pl.col("dropped").sum()).iter_rows())
    assert {p.time_unix_nano for p in metric.sum.data_points} == {START + DURATION}


@pytest.mark.parametrize("form", ["sum", "gauge", "histogram"])
def test_only_finite_values_are_measured(rec, form):
    values = [1.5, np.nan, np.inf, None]
    frame = pl.DataFrame({"ts": [T0] * 4, "x": values})
    (metric,) = made(metric_requests(rec, frame, "app.x", value="x", form=form))
    (point,) = points(metric)
    assert (point.sum if form == "histogram" else point.as_double) == 1.5


def test_durations_are_in_ns(rec):
    for unit in ("ms", "us", "ns"):
        column = pl.Series("x", [timedelta(milliseconds=3)], pl.Duration(unit))
        frame = pl.DataFrame([pl.Series("ts", [T0]), column])
        (metric,) = made(metric_requests(rec, frame, "app.x", value="x", form="sum"))
        assert points(metric)[0].as_int == 3_000_000


def test_negative_values(rec):
    frame = pl.DataFrame({"x": [-1, 4]})
    with pytest.raises(ExportError, match="only grows"):
        metric_requests(rec, frame, "app.x", value="x", form="sum")
    (metric,) = made(metric_requests(rec, frame, "app.x", value="x"))
    (point,) = points(metric)
    assert (point.count, point.min, sum(point.negative.bucket_counts)) == (2, -1, 1)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"value": "path"}, "path holds String"),
        ({"value": "nowhere"}, "no column nowhere"),
        ({"form": "gauge"}, "'gauge' can be made of events"),
        ({"value": "size", "form": "summary"}, "'summary'"),
        ({"by": ["value"]}, "no column value"),
        ({"by": ["ts"]}, "called ts"),
        ({"by": ["list"]}, "tells no series apart"),
    ],
)
def test_what_cannot_be_measured(rec, options, text):
    with pytest.raises(ExportError, match=text):
        metric_requests(rec, FRAME.with_columns(list=[[1]] * 5), "app.x", **options)


def test_nothing_to_measure(rec):
    assert list(metric_requests(rec, FRAME.clear(), "app.x", value="size")) == []
    assert list(log_requests(rec, FRAME.clear(), "app.x", text="path")) == []


def test_requests_stay_small(rec):
    frame = pl.DataFrame({"ts": [T0] * 5000, "x": range(5000)})
    found = list(metric_requests(rec, frame, "app.x", by=["x"], max_bytes=20_000))
    assert len(found) > 5
    assert max(len(request.body) for request in found) <= 20_000
    assert len([p for m in made(found) for p in points(m)]) == 5000


def test_logs(rec):
    rows = FRAME.with_columns(text=pl.col("path"), odd=pl.lit(0.5))
    keys = {"size": "app.size", "text": "app.text", "odd": "score"}
    found = log_requests(
        rec, rows, "app.anomaly", text="path", attributes=keys, severity=logs.ERROR
    )
    first, *_, last = records([CLASSES["logs"].FromString(each.body) for each in found])
    assert (first.event_name, first.severity_number) == ("app.anomaly", 17)
    assert first.body.string_value == "a"
    assert attributes(first) == {"app.size": 5, "app.text": "a", "score": 0.5}
    assert first.time_unix_nano == T0
    thread = of_thread(rec, 1001)
    assert (first.span_id, first.trace_id) == (thread.span_id, thread.trace_id)
    assert last.body.string_value == ""
    assert attributes(last) == {"app.size": 9, "score": 0.5}
    assert not last.span_id
    with pytest.raises(ExportError, match="no column text"):
        log_requests(rec, FRAME, "app.x")


def test_they_are_sent_with_the_session(tmp_path):
    synthetic(tmp_path, 50)
    session = wb.open(tmp_path / "s.wb")
    got = []

    class Receiver(HttpReceiver):
        def take(self, signal, message):
            if signal == "metrics":
                got.extend(metrics([message]))

    closed = []

    def more():
        try:
            yield from metric_requests(session, FRAME, "app.x", value="size")
        finally:
            closed.append(True)

    with Receiver() as there:
        report = session.send(there.endpoint, signals=("metrics",), more=more())
    assert report.ok
    assert {"app.x", "workbench.syscall.duration"} <= {metric.name for metric in got}
    assert closed
