"""Spans, data points and samples encoded as OTLP, beside OpenTelemetry's own Python."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from benches import otlp_peers as peers
from benches.decode import layouts
from benches.harness import Plan, Result
from benches.otlp_session import session
from workbench.formats.otlp import attributes as of
from workbench.formats.otlp import points, spans
from workbench.formats.otlp.encode import requests
from workbench.formats.otlp.slices import integers, slices

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.recording import Recording

SPANS, SDK_SPANS, CLASS_SPANS = "workbench, spans", "OpenTelemetry SDK, spans", "classes, spans"
FOUR, SDK_FOUR = "workbench, spans of four", "OpenTelemetry SDK, spans of four"
POINTS, SDK_POINTS = "workbench, data points", "OpenTelemetry SDK, data points"
MEASURED, SDK_MEASURED = "workbench, values measured", "OpenTelemetry SDK, values measured"
SAMPLES, CLASS_SAMPLES = "workbench, samples", "classes, samples"
COLUMNS = {"per_s": "a second", "per_cpu_s": "a second of CPU", "bytes": "bytes each", "note": ""}
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


def distribution(count: int) -> Callable[[], int]:
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
        return int(made.encoded(shown).nbytes)

    return encode


def run(plan: Plan) -> Result:
    """Encode a session of as many system calls and samples, and what the peers take for a part."""
    rows = plan.events // 2
    with tempfile.TemporaryDirectory() as place:
        rec = session(Path(place) / "bench.wb", layouts(), rows)
        some = rows_of(rec, PEER_ROWS)
        fewer = [row | {"attributes": dict(list(row["attributes"].items())[:4])} for row in some]
        count = len(some)
        many = 10 * POINT_COUNT
        point_count, sdk_points = peers.sdk_points(POINT_COUNT)
        triples = [(number % 500, number % 16, row["start"]) for number, row in enumerate(some, 1)]
        whole = "of a session, with reading it, five or six attributes"
        found = [
            timed(SPANS, rows, lambda: exported(rec, "traces"), plan.rounds, whole),
            timed(SDK_SPANS, count, lambda: peers.sdk_spans(some), plan.rounds, "the same ones"),
            timed(CLASS_SPANS, count, lambda: peers.class_spans(some), plan.rounds, "the same"),
            timed(FOUR, rows, lambda: four(rec), plan.rounds, "four attributes, with reading"),
            timed(SDK_FOUR, count, lambda: peers.sdk_spans(fewer), plan.rounds, "the same ones"),
            timed(POINTS, many, distribution(many), plan.rounds, "21 buckets each, encoded only"),
            timed(SDK_POINTS, point_count, sdk_points, plan.rounds, "the same ones"),
            timed(MEASURED, rows, lambda: exported(rec, "metrics"), plan.rounds, "all metrics"),
            timed(
                SDK_MEASURED, count, lambda: peers.sdk_measure(some), plan.rounds, "one histogram"
            ),
            timed(SAMPLES, rows, lambda: exported(rec, "profiles"), plan.rounds, "with stacks"),
            timed(
                CLASS_SAMPLES,
                count,
                lambda: peers.class_samples(triples),
                plan.rounds,
                "without dictionary",
            ),
        ]
        rec.close()
    return Result("otlp-encode", "OTLP: encoded", COLUMNS, found)
