"""OTLP, the protocol of OpenTelemetry: a session as traces, metrics, logs and profiles.

    tables ──► traces  (process_spans, thread_spans, connections, network_spans) ──┐
           ──► metrics (instruments, series; counted_metrics, recorder_metrics) ───┤
           ──► profiles (symbols, dictionary)                                      ├─► encode
           ──► logs                                                               ─┘
    any frame of yours ──► frame_requests (metrics, logs)

:func:`workbench.formats.otlp.encode.requests` makes the serialised requests. Everything is
encoded in whole columns (:mod:`workbench.formats.otlp.wire`); what becomes what is told in
``docs/otlp.md``. :func:`workbench.formats.otlp.sending.send.send` sends them, and
:mod:`workbench.formats.otlp.file` writes them to files. Where JSON is asked for, it is made of the
requests in the same way, by the column:

    json ──► json_columns ──► wire_fields (where fields are), json_scalars, json_values (their text)

Profiles are read from such files, too:

    file ──► messages, json_messages ──► read_dictionary, read_profiles ──► read_merge, read_joined
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from workbench.formats.format import Format
from workbench.formats.otlp.reading.read import read_json, read_protobuf
from workbench.formats.otlp.reading.recognise import recognise_json, recognise_protobuf
from workbench.formats.otlp.signals import SIGNALS

if TYPE_CHECKING:
    from workbench.recording import Recording


def _signals(_: Recording) -> list[str]:
    """Return the signals, which stand where other formats name a table."""
    return list(SIGNALS)


def _write_json(rec: Recording, file: IO[bytes], table: str | None) -> None:
    """Write all signals, or one, each request as a line."""
    from workbench.formats.otlp.encode import requests
    from workbench.formats.otlp.file import write_json_lines

    write_json_lines(requests(rec, tuple(SIGNALS) if table is None else (table,)), file)


def _write_protobuf(rec: Recording, file: IO[bytes], table: str | None) -> None:
    """Write one signal: the one that is named, else the one that the session is about."""
    from workbench.formats.otlp.encode import requests
    from workbench.formats.otlp.file import held_signal, write_delimited

    signal = table or held_signal(rec)
    if signal:
        write_delimited(requests(rec, (signal,)), file)


FORMATS = (
    Format(
        "otlp-json",
        ".otlp.jsonl",
        "traces, metrics, logs and profiles as OTLP JSON lines: OpenTelemetry Collector",
        _write_json,
        read_json,
        recognise_json,
        tables=_signals,
    ),
    Format(
        "otlp-proto",
        ".otlp.pb",
        "one of these signals as length-delimited OTLP protobuf: OpenTelemetry Collector",
        _write_protobuf,
        read_protobuf,
        recognise_protobuf,
        tables=_signals,
    ),
)
