"""Spans, data points and samples encoded as OTLP, beside OpenTelemetry's own Python."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow as pa

from benches import otlp_peers as peers
from benches.decode import layouts
from benches.harness import Plan, Result
from benches.otlp_session import session
from workbench.formats.otlp import attributes as of
from workbench.formats.otlp.encode import MAX_BYTES, requests
from workbench.formats.otlp.metrics import points
from workbench.formats.otlp.metrics.metric import Metric
from workbench.formats.otlp.pack import Packer
from workbench.formats.otlp.signals import known
from workbench.formats.otlp.slices import integers, slices
from workbench.formats.otlp.traces import spans
from workbench.formats.otlp.transcoding import json as otlp_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.recording import Recording

SPANS, SDK_SPANS, CLASS_SPANS = "workbench, spans", "OpenTelemetry SDK, spans", "classes, spans"
FOUR, SDK_FOUR = "workbench, spans of four", "OpenTelemetry SDK, spans of four"
POINTS, SDK_POINTS = "workbench, data points", "OpenTelemetry SDK, data points"
MEASURED, SDK_MEASURED = "workbench, values measured", "OpenTelemetry SDK, values measured"
SAMPLES, CLASS_SAMPLES = "workbench, samples", "classes, samples"
JSON_SPANS, SDK_JSON_SPANS = "workbench, spans as JSON", "OpenTelemetry SDK, spans as JSON"
JSON_POINTS = "workbench, data points as JSON"
SDK_JSON_POINTS = "OpenTelemetry SDK, data points as JSON"
JSON_SAMPLES, CLASS_JSON_SAMPLES = "workbench, samples as JSON", "classes, samples as JSON"
COLUMNS = {"per_s": "a second", "per_cpu_s": "a second of CPU", "bytes": "bytes each", "note": ""}
NOTE = (
    "The SDK makes spans, or counts, and encodes them as its exporters do; it has neither profiles "
    "nor JSON, so there the peers are protobuf's generated classes, filled sample by sample, and "
    "protobuf's json_format. The workbench reads what it encodes from a session, symbols too; the "
    "peers get Python values that are made beforehand."
)
PEER_ROWS = 20_000
"""The peers get that many: they are that slow."""
POINT_COUNT = 2000


def timed(name: str, count: int, work: Callable[[], int], rounds: int, note: str) -> dict[str, Any]:
    """Run a few times; return the best rates. The work returns the bytes that it made."""
    wall = cpu = float("inf")
    size = 0
    for _ in range(rounds + 1):  # the first one warms up
        start, begun = time.perf_counter(), time.process_time()
        size = work()
        wall = min(wall, time.perf_counter() - start)
        cpu = min(cpu, time.process_time() - begun)
    return {
        "name": name,
        "per_s": count / wall,
        "per_cpu_s": count / cpu,
        "bytes": size / count,
        "count": count,
        "note": note,
    }


def exported(rec: Recording, signal: str) -> int:
    """Return the bytes of all requests of a signal."""
    return sum(len(request.body) for request in requests(rec, (signal,)))


def exported_json(rec: Recording, signal: str) -> int:
    """Return the bytes of all requests of a signal as OTLP JSON."""
    kind = known(signal)
    return sum(len(otlp_json.encode(kind, request.body)) for request in requests(rec, (signal,)))


def rows_of(rec: Recording, count: int) -> list[dict[str, Any]]:
    """Return system calls as the peers take them: what our spans of them hold."""
    frame = rec["syscalls"].lazy().head(count).collect()
    found = []
    for row in frame.iter_rows(named=True):
        start = int(row["ts"].timestamp()) * 10**9
        failed = {"error.type": "ENOENT"} if row["errno"] else {}
        found.append(
            {
                "name": row["name"],
                "start": start,
                "end": start + row["latency"].microseconds * 1000,
                "error": "ENOENT" if failed else "",
                "attributes": {
                    "process.pid": row["pid"],
                    "thread.id": row["tid"],
                    "thread.name": row["comm"],
                    "cpu.logical_number": row["cpu"],
                    "workbench.syscall.return_value": row["ret"],
                    **failed,
                },
            }
        )
    return found


def four(rec: Recording) -> int:
    """Encode spans with four attributes: two that repeat, a text and one that does not repeat."""
    size = 0
    for batch in slices(rec, "syscalls", "ts", "latency", "pid", "tid", "name", "ret"):
        ts = integers(batch, "ts")
        ids = ts.view(np.uint64)
        made = spans.Spans(
            trace=(ids, ids),
            span=ids,
            parent=ids,
            start=ts,
            end=ts + integers(batch, "latency"),
            name=batch.column("name"),
            attributes=[
                of.numbers(spans.ATTRIBUTE, "process.pid", batch.column("pid")),
                of.numbers(spans.ATTRIBUTE, "thread.id", batch.column("tid")),
                of.texts(spans.ATTRIBUTE, "thread.name", batch.column("name")),
                of.counts(spans.ATTRIBUTE, "value", integers(batch, "ret")),
            ],
        )
        size += spans.encoded(made).nbytes
    return size


def samples_of(rec: Recording) -> dict[str, Any]:
    """Return samples, stacks and frames as the peers take them."""
    found = rec["cpu"].lazy().select(*(pl.col(n).cast(pl.Int64) for n in ("stack_id", "tid", "ts")))
    return {
        "samples": list(zip(*(column.to_list() for column in found.collect()), strict=True)),
        "stacks": rec["stacks"].polars().sort("stack_id")["frame_ids"].to_list(),
        "frames": rec["frames"].polars().sort("frame_id").to_dicts(),
    }


def distribution(count: int, *, as_json: bool = False) -> Callable[[], int]:
    """Return what encodes points of exponential histograms, two attributes and 21 buckets each.

    As for the SDK, their counts are made before.
    """
    ones = np.ones(count, np.int64)
    number = np.arange(count)
    names = pa.array([f"call_{each}" for each in range(5)]).take(pa.array(number % 5))
    made = points.Distribution(
        start=ones,
        time=ones,
        count=ones * 21,
        sum=ones * 1.5,
        scale=ones * 3,
        zeros=ones * 0,
        positive=points.Buckets(ones * 79, np.ones((count, 21), np.int64)),
        low=ones * 1.0,
        high=ones * 2.0,
    )

    def encode() -> int:
        shown = [
            of.numbers(points.HISTOGRAM_ATTRIBUTE, "process.pid", pa.array(number // 5)),
            of.texts(points.HISTOGRAM_ATTRIBUTE, "name", names),
        ]
        rows = made.encoded(shown)
        if not as_json:
            return int(rows.nbytes)
        metric = Metric("duration", "ns", "", "histogram", rows)
        packer = Packer("metrics", b"", b"", MAX_BYTES)
        full = [each for part in metric.parts(packer.room) for each in packer.item(*part)]
        kind = known("metrics")
        return sum(len(otlp_json.encode(kind, each.body)) for each in (*full, *packer.rest()))

    return encode


def run(plan: Plan) -> Result:
    """Encode a session of as many system calls and samples, and what the peers take for a part."""
    rows = plan.events // 2
    with tempfile.TemporaryDirectory() as place:
        rec = session(Path(place) / "bench.wb", layouts(), rows)
        found = [*_spans(rec, plan), *_points(rec, plan), *_samples(rec, plan)]
        rec.close()
    return Result("otlp-encode", "OTLP: encoded", COLUMNS, found, [NOTE])


def _spans(rec: Recording, plan: Plan) -> list[dict[str, Any]]:
    rows, rounds = rec["syscalls"].num_rows, plan.rounds
    some = rows_of(rec, PEER_ROWS)
    fewer = [row | {"attributes": dict(list(row["attributes"].items())[:4])} for row in some]
    count, few = len(some), some[: PEER_ROWS // 4]
    whole = "of a session, with reading it, five or six attributes"
    return [
        timed(SPANS, rows, lambda: exported(rec, "traces"), rounds, whole),
        timed(SDK_SPANS, count, lambda: peers.sdk_spans(some), rounds, "the same ones"),
        timed(CLASS_SPANS, count, lambda: peers.class_spans(some), rounds, "the same"),
        timed(FOUR, rows, lambda: four(rec), rounds, "four attributes, with reading"),
        timed(SDK_FOUR, count, lambda: peers.sdk_spans(fewer), rounds, "the same ones"),
        timed(JSON_SPANS, rows, lambda: exported_json(rec, "traces"), rounds, whole),
        timed(
            SDK_JSON_SPANS,
            len(few),
            lambda: peers.sdk_spans(few, peers.text),
            rounds,
            "the same ones, by protobuf's json_format",
        ),
    ]


def _points(rec: Recording, plan: Plan) -> list[dict[str, Any]]:
    rows, rounds, many = rec["syscalls"].num_rows, plan.rounds, 10 * POINT_COUNT
    some = rows_of(rec, PEER_ROWS)
    count, sdk_points = peers.sdk_points(POINT_COUNT)
    _, sdk_json_points = peers.sdk_points(POINT_COUNT, peers.text)
    made = distribution(many, as_json=True)
    return [
        timed(POINTS, many, distribution(many), rounds, "21 buckets each, encoded only"),
        timed(SDK_POINTS, count, sdk_points, rounds, "the same ones"),
        timed(JSON_POINTS, many, made, rounds, "21 buckets each, encoded only"),
        timed(SDK_JSON_POINTS, count, sdk_json_points, rounds, "the same, by json_format"),
        timed(MEASURED, rows, lambda: exported(rec, "metrics"), rounds, "all metrics"),
        timed(SDK_MEASURED, len(some), lambda: peers.sdk_measure(some), rounds, "one histogram"),
    ]


def _samples(rec: Recording, plan: Plan) -> list[dict[str, Any]]:
    rows, rounds = rec["cpu"].num_rows, plan.rounds
    given = samples_of(rec)
    note = "the same ones, with dictionary"
    return [
        timed(SAMPLES, rows, lambda: exported(rec, "profiles"), rounds, "with dictionary"),
        timed(CLASS_SAMPLES, rows, lambda: peers.class_samples(**given), rounds, note),
        timed(JSON_SAMPLES, rows, lambda: exported_json(rec, "profiles"), rounds, "the same"),
        timed(
            CLASS_JSON_SAMPLES,
            rows,
            lambda: peers.class_samples(**given, write=peers.text),
            rounds,
            "the same, by json_format",
        ),
    ]
