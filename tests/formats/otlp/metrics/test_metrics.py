"""Metrics of sessions: their sums are those of the tables."""

import polars as pl
from otlp_rows import DNS, HTTP, TCP
from otlp_sessions import (
    T0,
    attributes,
    last_points,
    messages,
    metrics,
    points,
    spans,
    synthetic,
    written,
)
from synthetic import SECOND, START

from workbench.formats.otlp import slices
from workbench.formats.otlp.metrics.buckets import bucket_of
from workbench.recording import Recording


def held(point):
    """Counts by bucket."""
    return {
        point.positive.offset + place: n
        for place, n in enumerate(point.positive.bucket_counts)
        if n
    }


def test_system_calls(tmp_path):
    rec = synthetic(tmp_path, 4_000)
    found = messages(rec, "metrics")
    table = rec["syscalls"].polars()
    last = last_points(found, "workbench.syscall.duration")
    assert sum(point.count for point in last) == len(table)
    assert sum(point.sum for point in last) == table["latency"].cast(pl.Int64).sum()
    for point in last:
        shown = attributes(point)
        mine = table.filter(
            pl.col("pid") == shown["process.pid"],
            pl.col("name").cast(pl.String) == shown["workbench.syscall.name"],
            pl.col("errno").is_not_null() == ("error.type" in shown),
        )
        if "error.type" not in shown:
            latency = mine["latency"].cast(pl.Int64)
            assert point.count == len(mine)
            assert (point.min, point.max) == (latency.min(), latency.max())
            buckets = bucket_of(latency.filter(latency > 0).to_numpy()) >> (3 - point.scale)
            assert held(point) == dict(pl.Series(buckets).value_counts().iter_rows())
    failed = last_points(found, "workbench.syscall.errors")
    assert sum(point.as_int for point in failed) == table["errno"].count() > 0


def test_points_are_cumulative_and_have_exemplars(tmp_path):
    rec = synthetic(tmp_path, 3_000, kinds=("offcpu",))
    found = messages(rec, "metrics")
    known = {s.span_id: s for s in spans(messages(rec, "traces"))}
    series = {}
    (metric,) = [m for m in metrics(found) if m.name == "workbench.off_cpu.duration"]
    for point in points(metric):
        assert point.start_time_unix_nano == START
        assert (point.time_unix_nano - START) % SECOND == 0
        key = tuple(sorted(attributes(point).items()))
        before = series.get(key)
        if before is not None:
            assert before.time_unix_nano < point.time_unix_nano
            assert before.count < point.count
            assert before.sum <= point.sum
            assert before.min >= point.min
            assert all(held(point)[bucket] >= n for bucket, n in held(before).items())
        series[key] = point
        (exemplar,) = point.exemplars
        span = known[exemplar.span_id]
        assert span.trace_id == exemplar.trace_id
        assert span.end_time_unix_nano - span.start_time_unix_nano == exemplar.as_double
        assert span.start_time_unix_nano == exemplar.time_unix_nano
        assert exemplar.time_unix_nano < point.time_unix_nano
        assert span.name == attributes(point)["workbench.offcpu.state"]
    weights = rec["offcpu"].polars()["weight"].sum()
    assert sum(point.count for point in series.values()) == weights


def test_slices_and_requests_change_nothing(tmp_path, monkeypatch):
    rec = synthetic(tmp_path, 2_000)
    whole = messages(rec, "metrics")
    monkeypatch.setattr(slices.slices, "__kwdefaults__", {"rows": 100})
    again = messages(rec, "metrics", max_bytes=3_000)
    assert len(again) > 20
    for name in {metric.name for metric in metrics(whole)}:
        one, other = (
            [p for m in metrics(found) if m.name == name for p in points(m)]
            for found in (whole, again)
        )
        assert [p.SerializeToString(deterministic=True) for p in one] == [
            p.SerializeToString(deterministic=True) for p in other
        ]


def test_datasets():
    rec = Recording.open("datasets/slow-api.wb")
    found = messages(rec, "metrics")
    calls = last_points(found, "workbench.syscall.duration")
    assert sum(point.count for point in calls) == rec["syscalls"].num_rows
    produced = last_points(found, "workbench.events.produced")
    assert sum(point.as_int for point in produced) == rec.losses["produced"].sum()


def test_selections(tmp_path):
    rec = synthetic(tmp_path, 3_000).where(pid=1000).window(2.0, 4.5)
    found = messages(rec, "metrics")
    last = last_points(found, "workbench.syscall.duration")
    assert sum(point.count for point in last) == rec["syscalls"].num_rows > 0
    assert {attributes(point)["process.pid"] for point in last} == {1000}
    assert {point.start_time_unix_nano for point in last} == {START + 2 * SECOND}
    assert max(point.time_unix_nano for point in last) == START + 4 * SECOND + SECOND // 2


def test_networks(tmp_path):
    rec = written(tmp_path, http=HTTP, dns=DNS, tcp=[{**TCP[0], "rtt": 50}])
    found = messages(rec, "metrics")
    (client,) = last_points(found, "http.client.request.duration")
    assert attributes(client) == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "server.address": "10.0.0.2",
        "server.port": 80,
        "url.scheme": "http",
    }
    assert client.sum == client.max == 20e-9
    thread = {s.span_id: s for s in spans(messages(rec, "traces"))}[client.exemplars[0].span_id]
    assert attributes(thread)["thread.id"] == 1001
    assert client.exemplars[0].as_double == client.max
    (server,) = last_points(found, "http.server.request.duration")
    assert attributes(server) == {
        "http.request.method": "_OTHER",
        "http.response.status_code": 503,
        "error.type": "503",
        "url.scheme": "http",
    }
    (lookup,) = last_points(found, "dns.lookup.duration")
    assert attributes(lookup)["dns.question.name"] == "example.org"
    assert attributes(lookup)["error.type"] == "nxdomain"
    assert {m.unit for m in metrics(found) if m.name == "dns.lookup.duration"} == {"s"}
    (sent,) = last_points(found, "workbench.tcp.sent")
    assert sent.as_int == 100
    (rtt,) = last_points(found, "workbench.tcp.rtt")
    assert rtt.as_double == 50
    assert rtt.start_time_unix_nano == 0  # a gauge


def test_run_queues(tmp_path):
    runs = [{"ts": T0 + n, "pid": 1000, "tid": 1001, "latency": n, "ran": 5} for n in range(4)]
    rec = written(tmp_path, sched=runs)
    found = messages(rec, "metrics")
    (waited,) = last_points(found, "workbench.run_queue.duration")
    assert (waited.count, waited.sum) == (3, 6)  # 0 is not known
    (ran,) = last_points(found, "workbench.on_cpu.duration")
    assert (ran.count, ran.sum) == (4, 20)
    thread = {s.span_id: s for s in spans(messages(rec, "traces"))}[waited.exemplars[0].span_id]
    assert attributes(thread)["thread.id"] == 1001
