"""A session as OTLP requests: the one way from tables to what is sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from workbench.errors import ExportError
from workbench.formats.otlp.lives import People
from workbench.formats.otlp.logs import logs
from workbench.formats.otlp.metrics.metrics import metrics
from workbench.formats.otlp.origin import SCHEMA_URL, resource, scope
from workbench.formats.otlp.pack import Packer
from workbench.formats.otlp.profiles.profiles import profiles
from workbench.formats.otlp.traces.traces import traces

if TYPE_CHECKING:
    from workbench.formats.otlp.request import Request
    from workbench.recording import Recording

SIGNALS = ("traces", "metrics", "logs", "profiles")
MAX_BYTES = 4 * 2**20 - 2**16
"""Largest request: receivers take 4 MiB by gRPC, of which some is left for the frame around it."""


def requests(
    rec: Recording, signals: Sequence[str] = SIGNALS, *, max_bytes: int = MAX_BYTES
) -> Iterator[Request]:
    """Yield a session, or the selected part of it, as serialised export requests.

    Tables are read slice by slice and requests are made as they are taken: neither the session
    nor what is made of it needs to fit into memory. Each span, sample and log record is in
    exactly one request, with the same identifiers in every export of the session.

    Parameters
    ----------
    rec : Recording
        Tables that it lacks are left out; its selection is honoured.
    signals : sequence of str
        Any of :data:`SIGNALS`, in this order.
    max_bytes : int
        No request is larger; none has more than
        :data:`workbench.formats.otlp.pack.MAX_ITEMS` spans or log records.

    Yields
    ------
    Request

    Raises
    ------
    ExportError
        There is no such signal, or one item does not fit into `max_bytes`.
    """
    unknown = [name for name in signals if name not in SIGNALS]
    if unknown:
        raise ExportError(
            f"OTLP has no signal {', '.join(unknown)}.", advice=f"Signals: {', '.join(SIGNALS)}."
        )
    people = People(rec)
    made = {"traces": _traces, "metrics": _metrics, "logs": _logs}
    for signal in signals:
        if signal == "profiles":
            yield from profiles(rec, people, max_bytes)
            continue
        packer = Packer(signal, resource(rec), scope(rec), max_bytes, SCHEMA_URL)
        yield from made[signal](rec, people, packer)
        yield from packer.rest()


def _traces(rec: Recording, people: People, packer: Packer) -> Iterator[Request]:
    for rows in traces(rec, people):
        yield from packer.rows(rows)


def _metrics(rec: Recording, people: People, packer: Packer) -> Iterator[Request]:
    for metric in metrics(rec, people):
        for data, items in metric.parts(packer.room):
            yield from packer.item(data, items)


def _logs(rec: Recording, people: People, packer: Packer) -> Iterator[Request]:
    for rows in logs(rec, people):
        yield from packer.rows(rows)
