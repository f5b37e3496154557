"""What is exported, how and where to: one value for the panel, its command line and the command."""

from __future__ import annotations

import shlex
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import ExportError, QueryError
from workbench.formats import export, writable

if TYPE_CHECKING:
    from workbench.formats.otlp.report import SendReport
    from workbench.recording import Recording
    from workbench.selection import Selection

SEND = "otlp"
"""In place of a format: send to a receiver of OTLP."""
COLUMNS = ("pid", "tid", "comm", "cpu", "name")
"""Columns whose values select rows, as of ``Session.where``."""
_NUMBERS = {"pid", "tid", "cpu"}
_SIGNALS = ("traces", "metrics", "logs", "profiles")

Progress = Callable[[str, float | None], object]
"""Takes what was done so far in words, and as a share of all where that is known."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of a session, as the command line says it.

    Parameters
    ----------
    window : (str, str)
        Ends: seconds since the start with a decimal point, or ns since 1970; ``""`` leaves one open.
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
        """Return the arguments of ``workbench export`` that say it."""
        words = [f"--window={self.window[0]}:{self.window[1]}"] if any(self.window) else []
        return words + [
            f"--where={name}={value}" for name, values in self.where for value in values
        ]


def part_of(selection: Selection) -> Part:
    """Return what a selection says as a part.

    Raises
    ------
    QueryError
        It has conditions that no command line can say.
    """
    if selection.expressions:
        raise QueryError("A condition in polars or SQL cannot be said on the command line.")
    columns = [column for column, _ in selection.values]
    if len(set(columns)) < len(columns):
        raise QueryError("Two conditions on one column cannot be said on the command line.")
    ends = ["" if end is None else str(end) for end in (selection.start, selection.stop)]
    where = tuple((column, tuple(map(str, values))) for column, values in selection.values)
    return Part(window=(ends[0], ends[1]), where=where)


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
        tell = None if progress is None else lambda count: progress(f"{count:,} bytes", None)
        return export(rec, self.format, self.output, table=self.table, progress=tell, cancel=cancel)

    def _send(
        self, rec: Recording, progress: Progress | None, cancel: threading.Event | None
    ) -> SendReport:
        from workbench.formats.otlp.encode import requests
        from workbench.formats.otlp.send import send

        def tell(report: SendReport) -> None:
            if progress is not None:
                text = f"{report.total('sent'):,} items sent"
                progress(f"{text}; waiting: {report.trouble}" if report.trouble else text, None)

        return send(requests(rec, self.signals), progress=tell, cancel=cancel, **self.options)

    def command(self, session: str, part: Part) -> str:
        """Return the command that does the same; headers are left to the environment.

        Parameters
        ----------
        session : str
            Path of the session.
        part : Part
            What of it.
        """
        words = ["workbench", "export", session, *part.words(), f"--format={self.format}"]
        if self.table:
            words.append(f"--table={self.table}")
        if self.format != SEND:
            return shlex.join([*words, "-o", self.output])
        if self.signals != _SIGNALS:
            words.append(f"--signals={','.join(self.signals)}")
        options = {name: value for name, value in self.options.items() if value is not None}
        hidden = options.pop("headers", None)
        for name, value in options.items():
            flag = "--" + name.replace("_", "-")
            words.append(flag if value is True else f"{flag}={value}")
        keys = "OTEL_EXPORTER_OTLP_HEADERS=... " if hidden else ""
        return keys + shlex.join(words)

    def checked(self) -> Export:
        """Return it with the suffix of its format, if its file has none.

        Raises
        ------
        ExportError
            There is no such format.
        """
        if self.format == SEND:
            return self
        chosen = writable().get(self.format)
        if chosen is None:
            raise ExportError(
                f"There is no format {self.format!r} to write.",
                advice=f"Formats: {', '.join([*writable(), SEND])}",
            )
        if self.output and not Path(self.output).suffix:
            return replace(self, output=self.output + chosen.suffix)
        return self


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
