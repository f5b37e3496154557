"""What is exported, how and where to: one value for the panel, its command line and the command."""

from __future__ import annotations

import shlex
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import ExportError, MissingTableError
from workbench.formats import export, writable
from workbench.formats.format import all_tables, event_tables, stack_tables

if TYPE_CHECKING:
    from workbench.formats.otlp.sending.report import SendReport
    from workbench.part import Part
    from workbench.recording import Recording

SEND = "otlp"
"""In place of a format: send to a receiver of OTLP."""
SETTINGS = ("endpoint", "protocol", "compression", "timeout", "certificate", "client_key",
            "client_certificate", "insecure")  # fmt: skip
"""What the command line says of a receiver; each is a flag of ``workbench export``."""
HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"
"""The variable that headers are left to: command lines are seen by everybody, and kept."""
_SIGNALS = ("traces", "metrics", "logs", "profiles")

Progress = Callable[[str], object]
"""Takes what was done so far, in words."""


@dataclass(frozen=True, kw_only=True)
class Export:
    """One export.

    Parameters
    ----------
    format : str
        One of :func:`workbench.formats.writable`, or :data:`SEND`.
    table : str, optional
        Where the format holds one.
    output : str
        The file; of no meaning for :data:`SEND`.
    signals : tuple of str
        What :data:`SEND` sends.
    options : mapping
        Of :func:`workbench.formats.otlp.sending.send.send`: ``endpoint``, ``protocol``, ...
    """

    format: str
    table: str | None = None
    output: str = ""
    signals: tuple[str, ...] = _SIGNALS
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)  # headers hold keys

    def run(
        self,
        rec: Recording,
        progress: Progress | None = None,
        cancel: threading.Event | None = None,
    ) -> Path | SendReport:
        """Write the file and return it, or send and return the report.

        Raises
        ------
        ExportError, MissingTableError, StorageError
            As of :func:`workbench.formats.export` and
            :func:`workbench.formats.otlp.sending.send.send`.
        """
        if self.format == SEND:
            return self._send(rec, progress, cancel)
        if not self.output:
            raise ExportError("The export has no file to go to.", advice="Name one.")
        if error := unfit(rec, self.format, self.table):
            raise error
        tell = None if progress is None else lambda count: progress(f"{count:,} bytes")
        return export(rec, self.format, self.output, table=self.table, progress=tell, cancel=cancel)

    def _send(
        self, rec: Recording, progress: Progress | None, cancel: threading.Event | None
    ) -> SendReport:
        from workbench.formats.otlp.encode import requests
        from workbench.formats.otlp.sending.send import send

        def tell(report: SendReport) -> None:
            if progress is not None:
                text = f"{report.total('sent'):,} items sent"
                progress(f"{text}; waiting: {report.trouble}" if report.trouble else text)

        return send(requests(rec, self.signals), progress=tell, cancel=cancel, **self.options)

    def command(self, session: str, part: Part) -> str:
        """Return the command that does the same, for a POSIX shell.

        Headers are left to the environment: ``OTEL_EXPORTER_OTLP_HEADERS=...`` stands where they
        belong, and is refused as long as nobody fills it in.

        Parameters
        ----------
        session : str
            Path of the session.
        part : Part
            What of it.

        Raises
        ------
        QueryError
            As of :meth:`Part.words`.
        """
        words = ["workbench", "export", session, *part.words(), f"--format={self.format}"]
        if self.table:
            words.append(f"--table={self.table}")
        if self.format != SEND:
            # A file of that name is meant here, not standard output.
            output = "./-" if self.output == "-" else self.output
            return shlex.join([*words, "-o", output])
        if self.signals != _SIGNALS:
            words.append(f"--signals={','.join(self.signals)}")
        for name in SETTINGS:
            value, flag = self.options.get(name), name.replace("_", "-")
            if isinstance(value, bool):
                words.append(f"--{flag}" if value else f"--no-{flag}")
            elif value is not None:
                words.append(f"--{flag}={value}")
        keys = f"{HEADERS}=... " if self.options.get("headers") else ""
        return keys + shlex.join(words)

    def beside(self, session: str) -> str:
        """Return the file beside a session that is written where none is named, ``""`` for none.

        Raises
        ------
        ExportError
            There is no such format.
        """
        if self.format == SEND:
            return ""
        chosen = writable().get(self.format)
        if chosen is None:
            raise ExportError(
                f"There is no format {self.format!r} to write.",
                advice=f"Formats: {', '.join([*writable(), SEND])}",
            )
        return session.rstrip("/").removesuffix(".wb") + chosen.suffix


def unfit(rec: Recording, format: str, table: str | None = None) -> ExportError | None:
    """Return why a session has nothing that a format can hold, None if it has.

    Parameters
    ----------
    rec : Recording
    format : str
        Of :func:`workbench.formats.writable`; of others nothing is said.
    table : str, optional
        A table of the session that is to be written.
    """
    chosen = writable().get(format)
    if chosen is None or chosen.tables is None:
        return None
    fitting = chosen.tables(rec)
    if table in rec.tables and chosen.tables is stack_tables and table not in fitting:
        return ExportError(
            f"{table} has no stacks, and {format} holds nothing else.",
            advice=f"These tables have some: {', '.join(fitting) or 'none'}. "
            "Record others with stacks=True, where the kind takes that.",
        )
    if fitting or table is not None:
        return None
    what = "stacks" if chosen.tables is stack_tables else "events"
    return ExportError(
        f"{rec.path.name} has no {what}, and {format} holds nothing else.",
        advice="csv, parquet and arrow hold any table, perfetto and chrome what happened when.",
    )


def emptiness(rec: Recording, table: str | None = None) -> str:
    """Return in words that a part of a session holds nothing, ``""`` if it holds something.

    Parameters
    ----------
    rec : Recording
    table : str, optional
        The table that is written, where it is one.
    """
    from workbench.table import collected

    names = [table] if table in rec.tables else event_tables(rec)
    if any(len(collected(rec[name].lazy().head(1))) for name in names if name):
        return ""
    return "No event of the session is in that part: what was written holds none."


def remark(rec: Recording, format: str, table: str | None = None) -> str:
    """Return in words what is not plain of a file that was written, ``""`` for nothing.

    Parameters
    ----------
    rec : Recording
    format : str
        Of :func:`workbench.formats.writable`.
    table : str, optional
        The table that was named.
    """
    if text := emptiness(rec, table):
        return text
    if table is not None:
        return ""
    if format == "otlp-proto":
        from workbench.formats.otlp.file import held_signal

        held = held_signal(rec)
        others = ", ".join(f"--table {name}" for name in _SIGNALS if name != held)
        return f"A file of this format holds one signal; this one: {held}. Others: {others}"
    if format == "perfetto":
        from workbench.formats.perfetto import too_heavy

        if names := too_heavy(rec):
            return (
                f"Samples of {', '.join(names)} were left out, because Perfetto's have no weight: "
                "rows stand for too many. speedscope, pprof and folded hold them."
            )
    return ""


def usual(rec: Recording, format: str) -> str:
    """Return in words what is written where no table is named.

    Parameters
    ----------
    rec : Recording
    format : str
        Of :func:`workbench.formats.writable`, or :data:`SEND`.
    """
    from workbench.frames.stacks import profiled

    chosen = writable().get(format)
    if chosen is None or unfit(rec, format):
        return "none"
    if chosen.tables is stack_tables:
        return f"{profiled(rec)} (default)"
    if chosen.tables is not all_tables:
        if format != "otlp-proto":
            return "all"
        imported = "imported" in rec.manifest.target
        return "profiles (default)" if imported else "the first that there is"
    try:
        return f"{rec.events.name} (default)"
    except MissingTableError:
        return "none"
