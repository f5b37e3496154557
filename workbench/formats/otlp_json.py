"""OTLP in JSON lines, as the collector of OpenTelemetry writes and reads them in files."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from workbench.formats.format import Format

if TYPE_CHECKING:
    from workbench.recording import Recording


def write(rec: Recording, file: IO[bytes], table: str | None) -> None:
    """Write all signals, or the one that `table` names, one request on each line."""
    from workbench.formats.otlp.encode import SIGNALS, requests
    from workbench.formats.otlp.file import write_json_lines
    from workbench.formats.otlp.signals import known

    signals = SIGNALS if table is None else (known(table).name,)
    write_json_lines(requests(rec, signals), file)


FORMAT = Format(
    "otlp-json",
    ".jsonl",
    "OpenTelemetry's traces, metrics, logs and profiles as JSON lines: the collector's file "
    "receiver (a table is one of the four)",
    write,
)
