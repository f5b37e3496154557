"""Ways of one signal to a receiver of OTLP, for tests of one attempt."""

from __future__ import annotations

from typing import Any

from otlp_receivers import FakeClock

from workbench.formats.otlp.request import Request
from workbench.formats.otlp.sending.answer import Answer, Transport
from workbench.formats.otlp.sending.grpc import GrpcTransport
from workbench.formats.otlp.sending.http import HttpTransport
from workbench.formats.otlp.sending.settings import Options, resolve
from workbench.formats.otlp.signals import SIGNALS


def transport(
    endpoint: str, protocol: str = "http/protobuf", signal: str = "traces", **options: Any
) -> Transport:
    """The way that these options ask for, with one connection."""
    to = resolve(SIGNALS[signal], Options(endpoint=endpoint, protocol=protocol, **options), {})
    return GrpcTransport(to) if protocol == "grpc" else HttpTransport(to, 1, FakeClock())


def once(way: Transport, request: Request, timeout: float = 10.0) -> Answer:
    """Send a request once, and close the way."""
    try:
        return way.export(way.prepare(request.body), timeout)
    finally:
        way.close()
