"""Spans per second that reach a local receiver of OTLP, beside OpenTelemetry's own exporters.

The receiver is another process, the same for all sides. The requests of the workbench are made
beforehand, as its encoder makes them; so are the spans of the SDK, whose exporters encode what
they are given, which is part of their job. The official stub gets messages that are already made,
and only serialises and sends them: what is left of the difference is transport alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

from benches.harness import Plan, Result

PER_REQUEST = 8192
"""Spans in a request: with four attributes each, 1.3 MB."""
COLUMNS = {
    "spans_per_s": "spans/s",
    "mb_per_s": "MB/s",
    "cpu_per_span": "CPU ns/span",
    "wire_mb": "MB sent",
}
SDK_SHARE = 16
"""The SDK gets that many times fewer spans: it is that slow."""


def attributes(number: int) -> dict[str, Any]:
    """Four attributes of a span, two numbers and two texts."""
    return {
        "thread.id": 1000 + number % 17,
        "thread.name": f"worker-{number % 17}",
        "syscall.name": ("read", "write", "futex", "epoll_wait")[number % 4],
        "syscall.result": number % 4096,
    }


def request(start: int) -> Any:
    """Return an ExportTraceServiceRequest of the generated classes."""
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

    message = trace_service_pb2.ExportTraceServiceRequest()
    resource = message.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "bench"
    spans = resource.scope_spans.add().spans
    for number in range(start, start + PER_REQUEST):
        span = spans.add(
            trace_id=(number // 100 + 1).to_bytes(16, "big"),
            span_id=(number + 1).to_bytes(8, "big"),
            name="read",
            kind=1,
            start_time_unix_nano=1_700_000_000_000_000_000 + number * 1000,
            end_time_unix_nano=1_700_000_000_000_000_500 + number * 1000,
        )
        for key, value in attributes(number).items():
            target = span.attributes.add(key=key).value
            if isinstance(value, int):
                target.int_value = value
            else:
                target.string_value = value
    return message


def sdk_spans(start: int) -> list[Any]:
    """Return the same spans as the SDK has them when it exports."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, SpanKind

    resource, scope = Resource({"service.name": "bench"}), InstrumentationScope("bench")
    return [
        ReadableSpan(
            "read",
            context=SpanContext(number // 100 + 1, number + 1, is_remote=False),
            resource=resource,
            instrumentation_scope=scope,
            attributes=attributes(number),
            kind=SpanKind.INTERNAL,
            start_time=1_700_000_000_000_000_000 + number * 1000,
            end_time=1_700_000_000_000_000_500 + number * 1000,
        )
        for number in range(start, start + PER_REQUEST)
    ]


class Receiver:
    """The receiver's process."""

    def __init__(self) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-m", "benches.otlp_receiver"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        ports = self._read()
        self.grpc = f"http://127.0.0.1:{ports['grpc']}"
        self.http = f"http://127.0.0.1:{ports['http']}"

    def _read(self) -> dict[str, int]:
        assert self._child.stdout
        return json.loads(self._child.stdout.readline())

    def take(self) -> dict[str, int]:
        """Return what came since the last call."""
        assert self._child.stdin
        self._child.stdin.write("\n")
        self._child.stdin.flush()
        return self._read()

    def close(self) -> None:
        self._child.communicate(timeout=20)


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver that is there until the end of the block."""
    receiver = Receiver()
    try:
        yield receiver
    finally:
        receiver.close()


def workbench(receiver: Receiver, requests: list[Any], **options: Any) -> dict[str, Any]:
    """Send with the workbench; return the bytes on the wire."""
    from workbench.formats.otlp.send import send

    endpoint = receiver.grpc if options["protocol"] == "grpc" else receiver.http
    report = send(requests, endpoint, **options).check()
    # gRPC compresses by itself and does not tell how far.
    unknown = options["protocol"] == "grpc" and options.get("compression") == "gzip"
    return {"wire_mb": None if unknown else report.total("wire_bytes") / 1e6}


def sdk(exporter: Any, batches: list[Any]) -> dict[str, Any]:
    """Export with the SDK."""
    for batch in batches:
        assert exporter.export(batch).name == "SUCCESS"
    return {}


def stub(receiver: Receiver, messages: list[Any]) -> dict[str, Any]:
    """Send messages with the official stub, one after the other."""
    import grpc
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc

    with grpc.insecure_channel(receiver.grpc.removeprefix("http://")) as channel:
        export = trace_service_pb2_grpc.TraceServiceStub(channel).Export
        for message in messages:
            export(message, timeout=20)
    return {}


def measured(
    name: str, receiver: Receiver, count: int, rounds: int, work: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """Return a row: medians of several rounds, with what arrived checked."""
    walls, cpus, extra = [], [], {}
    work()  # imports, and the receiver's first connections
    receiver.take()
    for _ in range(rounds):
        wall, cpu = time.perf_counter(), time.process_time()
        extra = work()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
        got = receiver.take()
        assert got["requests"] == count, f"{name}: {got['requests']} of {count} requests arrived"
    spans = count * PER_REQUEST
    return {
        "name": name,
        "spans_per_s": spans / median(walls),
        "mb_per_s": got["bytes"] / median(walls) / 1e6,
        "cpu_per_span": median(cpus) / spans * 1e9,
        "spans": spans,
        **extra,
    }


def run(plan: Plan) -> Result:
    """Measure all sides, one after the other, against the same receiver."""
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as Grpc
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as Http

    from workbench.formats.otlp.request import Request

    result = Result("otlp-send", "Spans sent to a local receiver of OTLP", COLUMNS)
    messages = [request(n * PER_REQUEST) for n in range(max(8, plan.events // PER_REQUEST // 2))]
    requests = [Request("traces", PER_REQUEST, m.SerializeToString()) for m in messages]
    batches = [sdk_spans(n * PER_REQUEST) for n in range(max(2, len(messages) // SDK_SHARE))]
    few = requests[: len(batches)]
    with receiving() as receiver:

        def row(name: str, given: list[Any], work: Callable[[], dict[str, Any]]) -> None:
            result.rows.append(measured(name, receiver, len(given), plan.rounds, work))

        for protocol, name in (("grpc", "gRPC"), ("http/protobuf", "HTTP"), ("http/json", "JSON")):
            given = few if protocol == "http/json" else requests
            for compression in ("none", "gzip"):
                options = {"protocol": protocol, "compression": compression}
                title = f"workbench, {name}" + (", gzip" if compression == "gzip" else "")
                row(title, given, lambda g=given, o=options: workbench(receiver, g, **o))
        row("official stub, gRPC", messages, lambda: stub(receiver, messages))
        grpc_exporter = Grpc(receiver.grpc, insecure=True)
        http_exporter = Http(receiver.http + "/v1/traces")
        row("OpenTelemetry SDK, gRPC", batches, lambda: sdk(grpc_exporter, batches))
        row("OpenTelemetry SDK, HTTP", batches, lambda: sdk(http_exporter, batches))
        grpc_exporter.shutdown()
        http_exporter.shutdown()
    size = len(requests[0].body) / 1e6
    result.notes.append(
        f"Requests of {PER_REQUEST:,} spans with four attributes ({size:.1f} MB), made beforehand; "
        "the workbench sends four at a time. The SDK's exporters encode spans that were made "
        "beforehand and send one request at a time; the stub serialises messages that were. The "
        "receiver is a process of its own that parses nothing."
    )
    return result
