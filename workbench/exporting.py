"""What is exported, how and where to: one value for the panel, its command line and the command."""

from __future__ import annotations

import shlex
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import ExportError, QueryError
from workbench.formats import export, writable
from workbench.selection import nanoseconds

if TYPE_CHECKING:
    from workbench.formats.otlp.report import SendReport
    from workbench.recording import Recording
    from workbench.selection import Selection

SEND = "otlp"
"""In place of a format: send to a receiver of OTLP."""
COLUMNS = ("pid", "tid", "comm", "cpu", "name")
"""Columns whose values select rows, as of ``Session.where``."""
_NUMBERS = {"pid", "tid", "cpu"}
SETTINGS = ("endpoint", "protocol", "compression", "timeout", "certificate", "client_key",
            "client_certificate", "insecure")  # fmt: skip
"""What the command line says of a receiver; each is a flag of ``workbench export``."""
HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"
"""The variable that headers are left to: command lines are seen by everybody, and kept."""
_SIGNALS = ("traces", "metrics", "logs", "profiles")

Progress = Callable[[str], object]
"""Takes what was done so far, in words."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of a session, as the command line says it.

    Parameters
    ----------
    window : (str, str)
        Ends: seconds since the start with a decimal point, or ns since 1970; ``""`` leaves one
        open.
    where : tuple of (column, values)
        Rows that have one of these values, for each of :data:`COLUMNS` that is named.
    """

    window: tuple[str, str] = ("", "")
    where: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def of(self, rec: Recording) -> Recording:
        """Return that part of a recording.

        Raises
        ------
        QueryError
            A value or a time has no meaning, or no table has the column.
        """
        if any(self.window):
            start, stop = (_time(text) for text in self.window)
            rec = rec.window(start, stop)
        for column, values in self.where:
            rec = rec.where(**{column: _values(column, values)})
        return rec

    def words(self) -> list[str]:
        """Return the arguments of ``workbench export`` that say it.

        Raises
        ------
        QueryError
            A column is to have one of no values, which no argument can say.
        """
        if empty := [column for column, values in self.where if not values]:
            raise QueryError(f"Rows with no {empty[0]} at all cannot be said on the command line.")
        words = [f"--window={self.window[0]}:{self.window[1]}"] if any(self.window) else []
        return words + [
            f"--where={name}={value}" for name, values in self.where for value in values
        ]


def part_of(selection: Selection, origin: int) -> Part:
    """Return what a selection says as a part.

    Parameters
    ----------
    selection : Selection
        Of a session.
    origin : int
        Start of that session, ns since 1970.

    Raises
    ------
    QueryError
        It has conditions in polars or SQL, which no command line can say.
    """
    if selection.expressions:
        raise QueryError(
            "A condition in polars or SQL cannot be said on the command line.",
            advice='Save the selected part, session.save("part.wb"), and export that.',
        )
    where: dict[str, tuple[Any, ...]] = {}
    for column, values in selection.values:  # conditions on one column hold together
        kept = where.get(column, values)
        where[column] = tuple(value for value in dict.fromkeys(kept) if value in values)
    return Part(
        window=(_end(selection.start, origin), _end(selection.stop, origin)),
        where=tuple((column, tuple(map(str, values))) for column, values in where.items()),
    )


def _end(time: int | None, origin: int) -> str:
    """Return a time in seconds since the start if that says it exactly, else in ns since 1970."""
    if time is None:
        return ""
    seconds = (time - origin) / 1e9
    text = f"{seconds:.9f}".rstrip("0")
    text += "0" if text.endswith(".") else ""
    return text if nanoseconds(float(text), origin) == time else str(time)


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
        Of :func:`workbench.formats.otlp.send.send`: ``endpoint``, ``protocol``, ``headers``, ...
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
            As of :func:`workbench.formats.export` and :func:`workbench.formats.otlp.send.send`.
        """
        if self.format == SEND:
            return self._send(rec, progress, cancel)
        if not self.output:
            raise ExportError("The export has no file to go to.", advice="Name one.")
        tell = None if progress is None else lambda count: progress(f"{count:,} bytes")
        return export(rec, self.format, self.output, table=self.table, progress=tell, cancel=cancel)

    def _send(
        self, rec: Recording, progress: Progress | None, cancel: threading.Event | None
    ) -> SendReport:
        from workbench.formats.otlp.encode import requests
        from workbench.formats.otlp.send import send

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
            return shlex.join([*words, "-o", self.output])
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


def _time(text: str) -> float | int | None:
    try:
        return None if not text else float(text) if "." in text else int(text)
    except ValueError:
        raise QueryError(
            f"{text!r} is no time.",
            advice="Write seconds since the start with a decimal point (1.5), or ns since 1970.",
        ) from None


def _values(column: str, values: tuple[str, ...]) -> list[str] | list[int]:
    if column not in COLUMNS:
        raise QueryError(
            f"Rows cannot be selected by {column!r}.", advice=f"Columns: {', '.join(COLUMNS)}"
        )
    if column not in _NUMBERS:
        return list(values)
    try:
        return [int(value) for value in values]
    except ValueError:
        raise QueryError(f"{column}= takes whole numbers, not {', '.join(values)}.") from None
