"""Ask a receiver of OTLP whether it is there, before anything is encoded for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from html import escape
from typing import Any

from workbench.errors import ExportError, SendError
from workbench.formats.otlp.sending.answer import Verdict
from workbench.formats.otlp.sending.delivery import Route
from workbench.formats.otlp.sending.retry import Clock, Retry
from workbench.formats.otlp.sending.send import open_route
from workbench.formats.otlp.sending.settings import Options, resolve
from workbench.formats.otlp.signals import SIGNALS, known

_TIMEOUT = 5.0
"""Seconds: somebody waits for it."""


@dataclass(frozen=True, slots=True)
class SignalAnswer:
    """What a receiver answered to an empty request of one signal.

    Attributes
    ----------
    signal, endpoint : str
        What was asked for, and where.
    seconds : float
        From connecting to the answer.
    error : SendError or None
        What is in the way, and what to do.
    """

    signal: str
    endpoint: str
    seconds: float
    error: SendError | None

    @property
    def ok(self) -> bool:
        """Whether the receiver takes this signal."""
        return self.error is None

    def __str__(self) -> str:
        if self.error is None:
            return f"{self.signal}: {self.endpoint} takes them ({self.seconds * 1000:.0f} ms)"
        text = f"{self.signal}: {self.error.what} {self.error.why}"
        return f"{text} {self.error.advice}".rstrip()


@dataclass(frozen=True, slots=True)
class ConnectionReport:
    """The answers of a receiver to :func:`test_connection`.

    Attributes
    ----------
    answers : tuple of SignalAnswer
        One for each signal.
    """

    answers: tuple[SignalAnswer, ...]

    @property
    def ok(self) -> bool:
        """Whether all signals are taken."""
        return all(answer.ok for answer in self.answers)

    @property
    def signals(self) -> tuple[str, ...]:
        """The signals that the receiver takes."""
        return tuple(answer.signal for answer in self.answers if answer.ok)

    def check(self) -> ConnectionReport:
        """Return the report itself, or raise the first error.

        Raises
        ------
        UnreachableError, RefusedError
            A signal is not taken.
        """
        for answer in self.answers:
            if answer.error is not None:
                raise answer.error
        return self

    def __repr__(self) -> str:
        return "\n".join(map(str, self.answers))

    def _repr_html_(self) -> str:
        lines = (f"<li>{'✓' if a.ok else '✗'} {escape(str(a))}</li>" for a in self.answers)
        return f"<ul>{''.join(lines)}</ul>"


def test_connection(
    endpoint: str | None = None,  # noqa: PT028  it is no test of pytest
    *,
    signals: Sequence[str] = tuple(SIGNALS),  # noqa: PT028
    **options: Any,
) -> ConnectionReport:
    """Send an empty request for each signal, once, and tell what was answered.

    A receiver answers an empty request with success (OTLP specification, *Full Success*), and
    nothing arrives in it.

    Parameters
    ----------
    endpoint : str, optional
        As of :func:`~workbench.formats.otlp.sending.send.send`.
    signals : sequence of str
        What to ask for; default all four.
    **options
        The other fields of :class:`~workbench.formats.otlp.sending.settings.Options`. More than
        5 s are not waited.

    Returns
    -------
    ConnectionReport
        Whether, and if not why; also when nothing was there.

    Raises
    ------
    DestinationError
        A setting has no meaning.
    ExportError
        A package is missing, or there is no such signal.
    """
    if unknown := options.keys() - Options.__dataclass_fields__.keys():
        raise ExportError(f"A connection has no {', '.join(sorted(unknown))}.")
    wishes = Options(endpoint=endpoint, **options)
    clock, stop = Clock(), threading.Event()
    routes = [open_route(resolve(known(name), wishes), Retry(), clock, stop, 1) for name in signals]
    try:
        with ThreadPoolExecutor(max(1, len(routes))) as pool:
            return ConnectionReport(tuple(pool.map(_ask, routes)))
    finally:
        for route in routes:
            route.transport.close()


def _ask(route: Route) -> SignalAnswer:
    destination, transport = route.destination, route.transport
    limit = min(destination.timeout or _TIMEOUT, _TIMEOUT)
    start = time.monotonic()
    answer = transport.export(transport.prepare(b""), limit)
    return SignalAnswer(
        destination.signal.name,
        destination.url,
        time.monotonic() - start,
        None if answer.verdict is Verdict.TAKEN else route.error(answer),
    )
