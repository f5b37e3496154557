"""A session as OTLP requests: the one way from tables to what is sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from workbench.errors import ExportError
from workbench.formats.otlp.lives import People
from workbench.formats.otlp.origin import SCHEMA_URL, resource, scope
from workbench.formats.otlp.pack import Packer
from workbench.formats.otlp.traces import traces

if TYPE_CHECKING:
    from workbench.formats.otlp.request import Request
    from workbench.recording import Recording

SIGNALS = ("traces", "metrics", "logs", "profiles")
MAX_BYTES = 4 * 2**20 - 2**16
"""Largest request: receivers take 4 MiB by gRPC, of which some is left for the frame around it."""


def requests(
    rec: Recording, signals: Sequence[str] = SIGNALS, *, max_bytes: int = MAX_BYTES
) -> Iterator[Request]:
    unknown = [name for name in signals if name not in SIGNALS]
    if unknown:
        raise ExportError(f"OTLP has no signal {', '.join(unknown)}.", advice=f"{SIGNALS}")
    people = People(rec)
    packer = Packer("traces", resource(rec), scope(rec), max_bytes, SCHEMA_URL)
    for rows in traces(rec, people):
        yield from packer.rows(rows)
    yield from packer.rest()
