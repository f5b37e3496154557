"""Receivers of OTLP for tests: gRPC on the official service stubs, HTTP on http.server.

What a receiver does with each request is said by a list of functions; when the list is used up,
everything is taken.
"""

from __future__ import annotations

import gzip
import importlib
import json
import random
import socket
import socketserver
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import json_format
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from otlp_json_reference import from_otlp_json
from otlp_messages import identities

from workbench.formats.otlp.sending.retry import Clock
from workbench.formats.otlp.signals import SIGNALS


class FakeClock(Clock):
    """A clock whose waits end at once; `on_wait` is called in each with their number."""

    def __init__(self, on_wait: Callable[[int], object] = lambda _: None) -> None:
        self.waits: list[float] = []
        self._on_wait = on_wait
        self._now = 0.0
        self._lock = threading.RLock()  # `on_wait` may send, and wait, itself

    def now(self) -> float:
        return self._now

    def wall(self) -> float:
        return 1_700_000_000.0 + self._now

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        with self._lock:
            self.waits.append(seconds)
            self._on_wait(len(self.waits))
            self._now += seconds
        return stop.is_set()


class Books:
    """What a receiver has got."""

    def __init__(self) -> None:
        self.taken: dict[str, Counter[int]] = {name: Counter() for name in SIGNALS}
        self.requests: list[tuple[str, dict[str, str], int]] = []
        self.lock = threading.Lock()

    def take(self, signal: str, message: Any) -> None:
        with self.lock:
            self.taken[signal].update(identities(signal, message))

    def note(self, signal: str, headers: dict[str, str], size: int) -> None:
        with self.lock:
            self.requests.append((signal, headers, size))


def _written(host: str) -> str:
    return f"[{host}]" if ":" in host else host


class GrpcReceiver(Books):
    """Official servicers. Each of `script` is called as f(receiver, signal, message, context)."""

    def __init__(
        self,
        *script: Any,
        port: int = 0,
        credentials: Any = None,
        limit: int = 0,
        host: str = "127.0.0.1",
    ):
        super().__init__()
        self.host = host
        self.script = list(script)
        self.port = port
        self.scheme = "https" if credentials else "http"
        self._credentials = credentials
        self._limit = limit or 64 << 20
        self.server: grpc.Server | None = None

    def start(self) -> GrpcReceiver:
        self.server = grpc.server(
            futures.ThreadPoolExecutor(8),
            options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", self._limit)],
        )
        for signal in SIGNALS.values():
            self._add(signal)
        address = f"{_written(self.host)}:{self.port}"
        self.port = (
            self.server.add_secure_port(address, self._credentials)
            if self._credentials
            else self.server.add_insecure_port(address)
        )
        self.server.start()
        return self

    def stop(self) -> None:
        if self.server is not None:
            self.server.stop(None).wait()
            self.server = None

    @property
    def endpoint(self) -> str:
        return f"{self.scheme}://{_written(self.host)}:{self.port}"

    def _add(self, signal: Any) -> None:
        stem = signal.package.split(".")[0]
        module = importlib.import_module(
            f"opentelemetry.proto.collector.{signal.package}.{stem}_service_pb2_grpc"
        )

        def export(_self: Any, message: Any, context: Any) -> Any:
            return self._export(signal, message, context)

        base = getattr(module, f"{signal.service}ServiceServicer")
        servicer = type("Servicer", (base,), {"Export": export})()
        getattr(module, f"add_{signal.service}ServiceServicer_to_server")(servicer, self.server)

    def _export(self, signal: Any, message: Any, context: Any) -> Any:
        self.note(signal.name, dict(context.invocation_metadata()), message.ByteSize())
        with self.lock:
            step = self.script.pop(0) if self.script else None
        if step is not None:
            answer = step(self, signal, message, context)
            if answer is not None:
                return answer
        self.take(signal.name, message)
        return signal.response()()

    def __enter__(self) -> GrpcReceiver:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def abort(code: str, text: str = "", retry: float | None = None, details: bytes | None = None):
    """A step of gRPC that answers a failure, with a RetryInfo where `retry` is given."""

    def step(receiver, signal, message, context):
        if retry is not None or details is not None:
            status = Status(code=grpc.StatusCode[code].value[0], message=text)
            if retry is not None:
                info = RetryInfo()
                info.retry_delay.FromNanoseconds(int(retry * 1e9))
                status.details.add().Pack(info)
            value = status.SerializeToString() if details is None else details
            context.set_trailing_metadata((("grpc-status-details-bin", value),))
        context.abort(grpc.StatusCode[code], text)

    return step


def partial(rejected: int, text: str = ""):
    """A step of gRPC that takes a request and rejects some of it."""

    def step(receiver, signal, message, context):
        receiver.take(signal.name, message)
        answer = signal.response()()
        setattr(answer.partial_success, signal.rejected, rejected)
        answer.partial_success.error_message = text
        return answer

    return step


class Reply:
    """A step of HTTP that answers this."""

    def __init__(self, status: int, body: bytes | str = b"", **headers: str) -> None:
        self.status = status
        self.body = body.encode() if isinstance(body, str) else body
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class Wire:
    """A step of HTTP that writes to the connection itself, when the request was read."""

    def __init__(self, act: Callable[[Any, Any, Any], object], *, taken: bool = True) -> None:
        self.act = act
        """Called with the handler, the signal and the message."""
        self.taken = taken
        """Whether the receiver has the request, whatever it answers."""


DROP_UNREAD, DROP_READ, TAKE_AND_DROP, TAKE_AND_STALL = "unread", "read", "taken", "stalled"


class HttpReceiver(Books):
    """An http.server. Each of `script` is a Reply, one of DROP_..., or f(receiver, signal, message)
    that gives a Reply."""

    def __init__(
        self,
        *script: Any,
        port: int = 0,
        context: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
    ):
        super().__init__()
        self.host = host
        self.script = list(script)
        self.port = port
        self.scheme = "https" if context else "http"
        self.connections = 0
        self.open: set[socket.socket] = set()
        self.released = threading.Event()
        self.stalled = threading.Event()
        self._context = context
        self._server: ThreadingHTTPServer | None = None

    def start(self) -> HttpReceiver:
        receiver = self

        class Handler(_Handler):
            books = receiver

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False
            allow_reuse_address = True
            address_family = socket.AF_INET6 if ":" in receiver.host else socket.AF_INET

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # clients that refuse our certificate are meant to

        self._server = Server((self.host, self.port), Handler)
        self.port = self._server.server_address[1]
        if self._context:
            self._server.socket = self._context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def stop(self) -> None:
        self.released.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        for connection in list(self.open):  # as a process that ends does
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    @property
    def endpoint(self) -> str:
        return f"{self.scheme}://{_written(self.host)}:{self.port}"

    def __enter__(self) -> HttpReceiver:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    books: HttpReceiver

    def setup(self) -> None:
        super().setup()
        self.books.connections += 1
        self.books.open.add(self.connection)

    def finish(self) -> None:
        self.books.open.discard(self.connection)
        super().finish()

    def do_POST(self) -> None:
        books = self.books
        with books.lock:
            step = books.script.pop(0) if books.script else None
        if step == DROP_UNREAD:
            return self._cut()
        raw = self.rfile.read(int(self.headers["content-length"]))
        signal = next((s for s in SIGNALS.values() if self.path.endswith(s.path)), None)
        books.note(signal.name if signal else self.path, dict(self.headers), len(raw))
        if step == DROP_READ:
            return self._cut()
        message = self._message(signal, raw) if signal else None
        if step in {TAKE_AND_DROP, TAKE_AND_STALL}:
            books.take(signal.name, message)
            if step == TAKE_AND_STALL:
                books.stalled.set()
                books.released.wait(40)
            return self._cut()
        if isinstance(step, Wire):
            if step.taken:
                books.take(signal.name, message)
            return step.act(self, signal, message)
        reply = step(books, signal, message) if callable(step) else step
        if reply is None:
            if signal is None:
                reply = Reply(404, "no such path")
            else:
                books.take(signal.name, message)
                reply = self.answer(signal.response()())
        return self._reply(reply)

    def _message(self, signal: Any, raw: bytes) -> Any:
        body = gzip.decompress(raw) if self.headers.get("content-encoding") == "gzip" else raw
        if self.headers["content-type"] == "application/json":
            return from_otlp_json(json.loads(body), signal.request()())
        return signal.request().FromString(body)

    def answer(self, message: Any) -> Reply:
        kind = self.headers["content-type"]
        if kind == "application/json":
            return Reply(200, json_format.MessageToJson(message), content_type=kind)
        return Reply(200, message.SerializeToString(), content_type=kind)

    def _reply(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    def _cut(self) -> None:
        self.close_connection = True
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def log_message(self, *_: Any) -> None:
        pass


class Cutter:
    """A forwarder before a receiver that can cut a connection before an answer goes through."""

    def __init__(self, port: int) -> None:
        self._armed = threading.Event()
        self.upward = 0
        """Bytes from clients."""
        forwarder = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                forwarder._forward(self.request, port)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            block_on_close = False

        self._server = Server(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"

    def arm(self) -> None:
        """Cut the connection that next has something to answer."""
        self._armed.set()

    def _forward(self, client: socket.socket, port: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as receiver:
            up = threading.Thread(target=self._pump, args=(client, receiver, False), daemon=True)
            up.start()
            self._pump(receiver, client, True)

    def _pump(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        try:
            while data := source.recv(1 << 16):
                if answers and self._armed.is_set():
                    self._armed.clear()
                    break
                if not answers:
                    self.upward += len(data)
                sink.sendall(data)
        except OSError:
            pass
        for end in (sink, source):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def __enter__(self) -> Cutter:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def receiver(protocol: str, *script: Any, **options: Any) -> GrpcReceiver | HttpReceiver:
    """A receiver of a protocol that does this."""
    return (GrpcReceiver if protocol == "grpc" else HttpReceiver)(*script, **options)


def free_port() -> int:
    """A port on which nobody listens, and which the kernel does not give to anybody meanwhile."""
    with Path("/proc/sys/net/ipv4/ip_local_port_range").open() as file:
        first = int(file.read().split()[0])
    while True:
        port = random.randrange(max(1024, first - 12_000), first)
        with socket.socket() as trial:
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def take_and_cut(between: Cutter) -> Any:
    """A step of gRPC that takes a request, whose answer then is lost on its way."""

    def step(receiver, signal, message, context):
        receiver.take(signal.name, message)
        between.arm()
        return signal.response()()

    return step
