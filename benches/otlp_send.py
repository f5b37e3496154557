"""Spans per second that reach a local receiver of OTLP, beside OpenTelemetry's own exporters.

The receiver is another process, the same for all sides, and tells its own CPU time. The workbench
sends requests that were made beforehand, which is transport alone (of JSON, what turns them into
JSON as well), and a whole session: read, encoded and sent, as ``session.send()`` does. The SDK's
exporters get spans that were made beforehand, encode and send them. The official stub gets
messages that are already made, and only serialises and sends them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from benches import otlp_spans as made
from benches.decode import layouts
from benches.harness import Plan, Result
from benches.otlp_session import session

if TYPE_CHECKING:
    from workbench.recording import Recording

COLUMNS = {
    "spans_per_s": "spans/s",
    "mb_per_s": "MB/s",
    "cpu_per_span": "CPU ns/span",
    "receiver": "receiver's CPU",
    "memory_mb": "MB of memory",
    "wire_mb": "MB sent",
}
SESSION, SDK = "workbench, a session, {}", "OpenTelemetry SDK, {}"
PROTOCOLS = (("grpc", "gRPC"), ("http/protobuf", "HTTP"), ("http/json", "JSON"))
SDK_SHARE = 16
"""The SDK gets that many times fewer spans: it is that slow."""


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

    def _read(self) -> dict[str, Any]:
        assert self._child.stdout
        return json.loads(self._child.stdout.readline())

    def take(self) -> dict[str, Any]:
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


def workbench(receiver: Receiver, requests: Iterable[Any], **options: Any) -> dict[str, Any]:
    """Send with the workbench; return the bytes on the wire."""
    from workbench.formats.otlp.sending.send import send

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


class Bench:
    """Rows of several ways to send, to the same receiver."""

    def __init__(self, receiver: Receiver, rounds: int) -> None:
        self._receiver = receiver
        self._rounds = rounds
        self.rows: list[dict[str, Any]] = []

    def row(self, name: str, requests: int, spans: int, work: Callable[[], dict[str, Any]]) -> None:
        """Add a row: medians of several rounds, with what arrived checked."""
        walls, cpus, theirs, extra = [], [], [], {}
        work()  # imports, and the receiver's first connections
        self._receiver.take()
        for _ in range(self._rounds):
            wall, cpu = time.perf_counter(), time.process_time()
            extra = work()
            walls.append(time.perf_counter() - wall)
            cpus.append(time.process_time() - cpu)
            got = self._receiver.take()
            theirs.append(got["cpu"])
            assert got["requests"] == requests, f"{name}: {got['requests']} of {requests} arrived"
        with most_memory() as memory:  # by itself: looking takes time
            work()
        self._receiver.take()
        self.rows.append(
            {
                "name": name,
                "spans_per_s": spans / median(walls),
                "mb_per_s": got["bytes"] / median(walls) / 1e6,
                "cpu_per_span": median(cpus) / spans * 1e9,
                "receiver": median(theirs) / spans * 1e9,
                "memory_mb": memory[0] / 1e6,
                "spans": spans,
                **extra,
            }
        )


@contextmanager
def most_memory() -> Iterator[list[int]]:
    """Give, at its end, by how many anonymous bytes this process grew at most in the block."""
    grown, done = [0], threading.Event()
    base = resident()

    def watch() -> None:
        while not done.wait(0.005):
            grown[0] = max(grown[0], resident() - base)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield grown
    finally:
        done.set()
        watching.join()


def resident() -> int:
    """Return the anonymous bytes of this process that are in memory."""
    with Path("/proc/self/status").open() as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("RssAnon"))


def run(plan: Plan) -> Result:
    """Measure all sides, one after the other, against the same receiver."""
    result = Result("otlp-send", "Spans sent to a local receiver of OTLP", COLUMNS)
    count = max(8, plan.events // made.PER_REQUEST // 2)
    with receiving() as receiver, tempfile.TemporaryDirectory() as place:
        bench = Bench(receiver, plan.rounds)
        _of_requests(bench, receiver, count)
        with session(Path(place) / "bench.wb", layouts(), plan.events // 2) as rec:
            _of_session(bench, receiver, rec)
        _of_sdk(bench, receiver, max(2, count // SDK_SHARE))
        result.rows = bench.rows
    result.notes.append(
        f"Requests of {made.PER_REQUEST:,} spans with four attributes, made beforehand; those of a "
        "session have five or six, and are read and encoded as they are sent. The workbench sends "
        "four at a time. The SDK's exporters encode spans that were made beforehand and send one "
        "request at a time (there is none for JSON); the stub serialises messages that were. The "
        "receiver is a process of its own that parses nothing; its CPU time is in ns a span. The "
        "memory is what is taken at most beyond what there was before."
    )
    return result


def _of_requests(bench: Bench, receiver: Receiver, count: int) -> None:
    """Send requests and messages that are ready."""
    from workbench.formats.otlp.request import Request

    size = made.PER_REQUEST
    messages = [made.request(n * size) for n in range(count)]
    requests = [Request("traces", size, message.SerializeToString()) for message in messages]
    for protocol, name in PROTOCOLS:
        for compression in ("none", "gzip"):
            options = {"protocol": protocol, "compression": compression}
            title = f"workbench, {name}" + (", gzip" if compression == "gzip" else "")
            send = partial(workbench, receiver, requests, **options)
            bench.row(title, count, count * size, send)
    send = partial(stub, receiver, messages)
    bench.row("official stub, gRPC", count, count * size, send)


def _of_session(bench: Bench, receiver: Receiver, rec: Recording) -> None:
    """Send a session, encoded on the way."""
    from workbench.formats.otlp.encode import requests

    counts = [request.items for request in requests(rec, ("traces",))]
    for protocol, name in PROTOCOLS:

        def send(protocol: str = protocol) -> dict[str, Any]:
            return workbench(receiver, requests(rec, ("traces",)), protocol=protocol)

        bench.row(SESSION.format(name), len(counts), sum(counts), send)


def _of_sdk(bench: Bench, receiver: Receiver, count: int) -> None:
    """Export with the SDK."""
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as Grpc
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as Http

    batches = [made.sdk_spans(n * made.PER_REQUEST) for n in range(count)]
    exporters = {
        "gRPC": Grpc(receiver.grpc, insecure=True),
        "HTTP": Http(receiver.http + "/v1/traces"),
    }
    for name, exporter in exporters.items():
        work = partial(sdk, exporter, batches)
        bench.row(SDK.format(name), count, count * made.PER_REQUEST, work)
        exporter.shutdown()
