"""OTLP as length-delimited protobuf, as the collector of OpenTelemetry writes it to files."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from workbench.formats.format import Format

if TYPE_CHECKING:
    from workbench.recording import Recording

_DEFAULT = "traces"


def write(rec: Recording, file: IO[bytes], table: str | None) -> None:
    """Write the signal that `table` names; the messages do not say which one it is."""
    from workbench.formats.otlp.encode import requests
    from workbench.formats.otlp.file import write_delimited
    from workbench.formats.otlp.signals import known

    write_delimited(requests(rec, (known(table or _DEFAULT).name,)), file)


FORMAT = Format(
    "otlp-proto",
    ".otlp",
    "one of OpenTelemetry's traces (default), metrics, logs and profiles, which the table names, "
    "as length-delimited protobuf: the collector's file exporter",
    write,
)
