"""What may happen to a request of OTLP on its way, as steps of the receivers of tests.

Each step has a name that tells what is true of it, whatever the sender believes:

- ``lost``: the receiver has the request, and its answer does not arrive: it may come twice;
- ``refused``: it is lost for good;
- all others: it is there once, now or after another attempt.
"""

from __future__ import annotations

import gzip
import random
import socket
import struct
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

from otlp_receivers import (
    DROP_READ,
    DROP_UNREAD,
    TAKE_AND_DROP,
    Cutter,
    FakeClock,
    Reply,
    Wire,
    abort,
    partial,
    take_and_cut,
)

NOW = int(FakeClock().wall())
Step = Any


def _head(handler: Any, length: int | None, *lines: str, status: str = "200 OK") -> bytes:
    kind = handler.headers["content-type"]
    size = [] if length is None else [f"content-length: {length}"]
    return "\r\n".join(
        [f"HTTP/1.1 {status}", f"content-type: {kind}", *size, *lines, "", ""]
    ).encode()


def _body(handler: Any, signal: Any, rejected: int = 0, text: str = "") -> bytes:
    message = signal.response()()
    setattr(message.partial_success, signal.rejected, rejected)
    message.partial_success.error_message = text
    return handler.answer(message).body


def _closing(handler: Any, signal: Any, _: Any) -> None:
    """Promises to keep the connection, and closes it between two requests."""
    body = _body(handler, signal)
    handler.connection.sendall(_head(handler, len(body), "connection: keep-alive") + body)
    handler._cut()


def _chunked(handler: Any, signal: Any, _: Any) -> None:
    body = _body(handler, signal, 0, "slow down")
    parts = [body[at : at + 3] for at in range(0, len(body), 3)]
    handler.connection.sendall(_head(handler, None, "transfer-encoding: chunked"))
    for part in parts:
        handler.connection.sendall(b"%x;a=b\r\n%s\r\n" % (len(part), part))
    handler.connection.sendall(b"0\r\nx-trailer: 1\r\n\r\n")


def _zipped(handler: Any, signal: Any, _: Any) -> None:
    body = gzip.compress(_body(handler, signal, 0, "slow down"))
    handler.connection.sendall(_head(handler, len(body), "content-encoding: gzip") + body)


def _continued(handler: Any, signal: Any, _: Any) -> None:
    body = _body(handler, signal)
    handler.connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 2)
    handler.connection.sendall(_head(handler, len(body)) + body)


def _trickling(handler: Any, signal: Any, _: Any) -> None:
    body = _body(handler, signal)
    for byte in _head(handler, len(body)) + body:
        handler.connection.sendall(bytes([byte]))


def _early(handler: Any, signal: Any, _: Any) -> None:
    """An answer before the answer, which is not that of the next request."""
    body = _body(handler, signal)
    handler.connection.sendall(b"HTTP/1.1 103 Early Hints\r\n\r\n")
    handler.connection.sendall(_head(handler, len(body)) + body)


def _truncated(handler: Any, signal: Any, _: Any) -> None:
    handler.connection.sendall(_head(handler, 100) + b"{")
    handler._cut()


def _garbled(handler: Any, signal: Any, _: Any) -> None:
    handler.connection.sendall(_head(handler, 4, "content-encoding: gzip") + b"abcd")


def _reset(handler: Any, _signal: Any, _message: Any) -> None:
    """End as a process that is killed: with RST."""
    linger = struct.pack("ii", 1, 0)
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    handler.close_connection = True
    handler.connection.close()


def _gateway(status: str) -> Callable[[Any, Any, Any], None]:
    """What stands between has lost the receiver after it took the request."""

    def act(handler: Any, signal: Any, _: Any) -> None:
        text = b"upstream connect error or disconnect/reset before headers. reset reason: x"
        handler.connection.sendall(_head(handler, len(text), status=status) + text)

    return act


def _rejecting(count: int, text: str) -> Callable[[Any, Any, Any], None]:
    def act(handler: Any, signal: Any, _: Any) -> None:
        body = _body(handler, signal, count, text)
        handler.connection.sendall(_head(handler, len(body)) + body)

    return act


HTTP: dict[str, Step] = {
    "taken": None,
    "closing": Wire(_closing),
    "chunked": Wire(_chunked),
    "zipped": Wire(_zipped),
    "continued": Wire(_continued),
    "trickling": Wire(_trickling),
    "busy": Reply(503),
    "throttled": Reply(429, "slow", retry_after="7"),
    "throttled until": Reply(429, "slow", retry_after=formatdate(NOW + 1000, usegmt=True)),
    "throttled oddly": Reply(503, "slow", retry_after="soon"),
    "unread": DROP_UNREAD,
    "read": DROP_READ,
    "too large": Reply(413),
    "too large for Go": Reply(400, "http: request body too large"),
    "rejected": Wire(_rejecting(1, "too old")),
    "rejected for nothing": Wire(_rejecting(0, "deprecated")),
    "refused": Reply(400, "bad"),
    "lost": TAKE_AND_DROP,
    "lost by reset": Wire(_reset),
    "lost by truncation": Wire(_truncated),
    "lost by garbling": Wire(_garbled),
    "lost after a hint": Wire(_early),
    "lost by a gateway": Wire(_gateway("502 Bad Gateway")),
    "lost by time": Wire(_gateway("504 Gateway Timeout")),
    "lost by Envoy": Wire(_gateway("503 Service Unavailable")),
}


def grpc(between: Cutter) -> dict[str, Step]:
    """The same for gRPC, whose connections go through a forwarder."""

    def between_lost(code: str, text: str) -> Step:
        def step(receiver: Any, signal: Any, message: Any, context: Any) -> None:
            receiver.take(signal.name, message)
            abort(code, text)(receiver, signal, message, context)

        return step

    return {
        "taken": None,
        "busy": abort("UNAVAILABLE", "busy"),
        "throttled": abort("RESOURCE_EXHAUSTED", "slow", retry=7),
        "throttled oddly": abort("UNAVAILABLE", "slow", details=b"\xff"),
        "aborted": abort("ABORTED"),
        "data lost": abort("DATA_LOSS"),
        "too large": abort("RESOURCE_EXHAUSTED", "message larger than max"),
        "rejected": partial(1, "too old"),
        "rejected for nothing": partial(0, "deprecated"),
        "refused": abort("INVALID_ARGUMENT", "bad"),
        "lost": take_and_cut(between),
        "lost by time": between_lost("DEADLINE_EXCEEDED", "context deadline exceeded"),
        "lost by cancel": between_lost("CANCELLED", "context canceled"),
        "lost by a gateway": between_lost("UNAVAILABLE", "Received http2 header with status: 502"),
        "lost by Envoy": between_lost(
            "UNAVAILABLE", "upstream connect error or disconnect/reset before headers"
        ),
    }


def schedule(names: list[str], seed: int, count: int) -> list[str]:
    """A random schedule in which every name comes at least once; half of it is no failure."""
    chance = random.Random(seed)
    rest = [chance.choice([*names, *["taken"] * len(names)]) for _ in range(count - len(names))]
    found = [*names, *rest]
    chance.shuffle(found)
    return found
