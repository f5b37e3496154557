"""OTLP, the protocol of OpenTelemetry: a session as traces, metrics, logs and profiles.

:func:`workbench.formats.otlp.encode.requests` makes serialised requests, column by column;
:func:`workbench.formats.otlp.send.send` sends them, and :mod:`workbench.formats.otlp.file` writes
them to files.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, TYPE_CHECKING

from workbench.errors import ExportError
from workbench.formats.format import Format
from workbench.formats.otlp.signals import SIGNALS

if TYPE_CHECKING:
    from workbench.formats.otlp.request import Request
    from workbench.recording import Recording


def _requests(rec: Recording, table: str | None) -> Iterator[Request]:
    """Return the requests of one signal, which is named like a table, or of all."""
    from workbench.formats.otlp.encode import requests

    return requests(rec, tuple(SIGNALS) if table is None else (table,))


def _write_json(rec: Recording, file: IO[bytes], table: str | None) -> None:
    from workbench.formats.otlp.file import write_json_lines

    write_json_lines(_requests(rec, table), file)


def _write_protobuf(rec: Recording, file: IO[bytes], table: str | None) -> None:
    from workbench.formats.otlp.file import write_delimited

    if table is None:
        raise ExportError(
            "A file of OTLP as protobuf holds one signal.",
            advice=f"Name it as the table: {', '.join(SIGNALS)}. JSON lines take all.",
        )
    write_delimited(_requests(rec, table), file)


FORMATS = (
    Format(
        "otlp-json",
        ".otlp.jsonl",
        "traces, metrics, logs and profiles as OTLP JSON lines: OpenTelemetry Collector",
        _write_json,
    ),
    Format(
        "otlp-proto",
        ".otlp.pb",
        "one signal (the table) as length-delimited OTLP protobuf: OpenTelemetry Collector",
        _write_protobuf,
    ),
)
