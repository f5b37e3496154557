"""Send requests to receivers of OTLP, several at a time, and tell what became of each item."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from workbench.formats.otlp.request import Request
from workbench.formats.otlp.sending.answer import Transport
from workbench.formats.otlp.sending.delivery import CANCELLED, Outcome, Route
from workbench.formats.otlp.sending.report import SendReport
from workbench.formats.otlp.sending.retry import Clock, Retry
from workbench.formats.otlp.sending.settings import Destination, Options, resolve
from workbench.formats.otlp.signals import SIGNALS, known, require

_POLL = 0.1
"""Seconds until a cancel is noticed while nothing comes back."""
_ABORT = 1.0
"""Seconds that threads have to end after their connections were cut."""

Progress = Callable[[SendReport], object]


def send(
    requests: Iterable[Request],
    endpoint: str | None = None,
    *,
    protocol: str | None = None,
    headers: Mapping[str, str] | str | None = None,
    compression: str | None = None,
    timeout: float | None = None,
    certificate: str | os.PathLike[str] | None = None,
    client_key: str | os.PathLike[str] | None = None,
    client_certificate: str | os.PathLike[str] | None = None,
    insecure: bool | None = None,
    parallel: int = 4,
    retry: Retry | None = None,
    clock: Clock | None = None,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> SendReport:
    """Send requests to receivers of OTLP.

    What is not given is taken from ``OTEL_EXPORTER_OTLP_*``, then from the defaults of the
    specification. What fails for a while is sent again; what is too large is halved.

    Parameters
    ----------
    requests : iterable of Request
        Taken one by one, as they can be sent; at most `parallel` are held.
    endpoint : str, optional
        Base URL, or a target of gRPC; default ``http://localhost:4318``, for gRPC 4317.
    protocol : str, optional
        ``http/protobuf`` (default), ``http/json`` or ``grpc``.
    headers, compression, timeout, certificate, client_key, client_certificate, insecure
        As :class:`~workbench.formats.otlp.sending.settings.Options` tells.
    parallel : int
        How many requests are under way at once (throughput is at most ``parallel`` requests per
        round trip). With 1, they arrive in their order.
    retry : Retry, optional
        How often and how long to try.
    clock : Clock, optional
        For tests.
    progress : callable, optional
        Called in this thread with the report as it stands, after each request and when there is
        something to wait for.
    cancel : threading.Event, optional
        Once it is set, connections are cut and the report returned within about a second.

    Returns
    -------
    SendReport
        Exact: ``sent + rejected + failed == produced`` for each signal. Losses are told there;
        ``.check()`` raises them.

    Raises
    ------
    DestinationError
        A setting has no meaning; nothing was sent.
    ExportError
        A package is missing, or there is no such signal.
    """
    options = Options(
        endpoint=endpoint,
        protocol=protocol,
        headers=headers,
        compression=compression,
        timeout=timeout,
        certificate=certificate,
        client_key=client_key,
        client_certificate=client_certificate,
        insecure=insecure,
    )
    stop = threading.Event()
    chosen = retry or Retry(), clock or Clock()
    routes = {
        name: open_route(resolve(signal, options), *chosen, stop, parallel)
        for name, signal in SIGNALS.items()
    }
    sender = _Sender(routes, max(1, parallel), stop, progress, cancel or threading.Event())
    return sender.run(iter(requests))


def open_route(
    destination: Destination, retry: Retry, clock: Clock, stop: threading.Event, parallel: int
) -> Route:
    """Return the way to a destination; it connects with the first attempt.

    Raises
    ------
    DestinationError
        The certificates cannot be used.
    ExportError
        A package is missing.
    """
    require("google.protobuf", "google.rpc", "opentelemetry.proto")
    transport: Transport
    if destination.protocol == "grpc":
        # Its C core writes what we report ourselves to the standard error, unless told before.
        os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
        require("grpc")
        from workbench.formats.otlp.sending.grpc import GrpcTransport

        transport = GrpcTransport(destination)
    else:
        require("urllib3")
        from workbench.formats.otlp.sending.http import HttpTransport

        transport = HttpTransport(destination, parallel, clock)
    return Route(destination, transport, retry, clock, stop)


class _Sender:
    """One run of :func:`send`: this thread takes requests and keeps the books."""

    def __init__(
        self,
        routes: dict[str, Route],
        parallel: int,
        stop: threading.Event,
        progress: Progress | None,
        cancel: threading.Event,
    ) -> None:
        self._routes = routes
        self._parallel = parallel
        self._stop = stop
        self._progress = progress
        self._cancel = cancel
        self._started = time.monotonic()
        self._under_way: dict[Future[Outcome], Request] = {}
        self._exhausted = False
        self.report = SendReport()

    def run(self, requests: Iterator[Request]) -> SendReport:
        """Send everything, or what there is until it is cancelled."""
        pool = ThreadPoolExecutor(self._parallel, "otlp")
        try:
            while not self._cancel.is_set():
                request = next(requests, None)
                if request is None:
                    self._exhausted = True
                    break
                self._begin(pool, request)
                self._collect(self._parallel - 1)
            self._collect(0)
        finally:
            # Also when the iterator, the callback or Ctrl-C raised: nothing goes on behind it.
            self._end(pool, requests)
        return self.report

    def _begin(self, pool: ThreadPoolExecutor, request: Request) -> None:
        route = self._routes[known(request.signal).name]
        self.report.endpoints[request.signal] = route.destination.url
        self.report.of(request.signal)
        self._under_way[pool.submit(route.deliver, request)] = request

    def _collect(self, most: int) -> None:
        """Wait until at most `most` requests are under way."""
        while len(self._under_way) > most and not self._cancel.is_set():
            done, _ = wait(self._under_way, _POLL, FIRST_COMPLETED)
            self._book(done)
            self._tell(bool(done))

    def _book(self, done: set[Future[Outcome]]) -> None:
        for future in done:
            self._under_way.pop(future)
            outcome = future.result()
            self.report.of(outcome.numbers.signal).add(outcome.numbers)
            self.report.error = self.report.error or outcome.error

    def _tell(self, news: bool) -> None:
        """Call the callback when something changed."""
        trouble = next((r.trouble for r in self._routes.values() if r.trouble), "")
        news = news or trouble != self.report.trouble
        self.report.trouble = trouble
        self.report.seconds = time.monotonic() - self._started
        if news and self._progress is not None:
            self._progress(self.report)

    def _end(self, pool: ThreadPoolExecutor, requests: Iterator[Request]) -> None:
        """Stop all threads, close all connections, and account for what was under way."""
        # Cancelled after everything had come back is not cancelled.
        self.report.cancelled = self._cancel.is_set() and (
            bool(self._under_way) or not self._exhausted
        )
        self._stop.set()
        close = getattr(requests, "close", None)
        if close is not None:
            close()
        if self._under_way:
            for route in self._routes.values():
                route.transport.abort()
            done, _ = wait(self._under_way, _ABORT)
            self._book(done)
        for request in self._under_way.values():
            part = self.report.of(request.signal)
            part.produced += request.items
            part.lose(request.items, CANCELLED, unconfirmed=True)
        pool.shutdown(wait=not self._under_way, cancel_futures=True)
        self._under_way.clear()
        for route in self._routes.values():
            route.transport.close()
        self.report.trouble = ""
        self.report.seconds = time.monotonic() - self._started
