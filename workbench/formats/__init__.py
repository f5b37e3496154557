"""Formats, one file each: what a session or a selection is written in, and what is read.

A format is a module or a package here with a :data:`FORMAT` (or several :data:`FORMATS`); adding
the file registers it. :func:`export` is the one place that opens, closes and, when something
goes wrong, removes what was written; :func:`recognised` tells what a file of another tool is.
"""

from __future__ import annotations

import errno
import importlib
import os
import pkgutil
import re
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from workbench.errors import CancelledError, ExportError, ImportFormatError, StorageError
from workbench.formats._appearing import appearing
from workbench.formats._watched import WatchedFile
from workbench.formats.format import Format, Read, Write
from workbench.profiles.content import head
from workbench.store.guard import writing

if TYPE_CHECKING:
    from workbench.recording import Recording

__all__ = [
    "Format", "export", "export_to", "format_of", "formats", "readable", "recognised", "writable",
]  # fmt: skip

_OWN = "format"
"""The module that defines what a format is, and is none itself."""
_PY_SPY = "Record with py-spy's formats raw or speedscope: py-spy record -f raw -o FILE"
_NO_PROFILES = (
    (re.compile(rb'"cat": ?"py-spy"'), "py-spy's chrometrace", _PY_SPY),
    (re.compile(rb"\A\s*Process \d+: .*\nPython v\d", re.S), "a dump of py-spy", _PY_SPY),
    (
        re.compile(rb"\A# To display the perf\.data header info"),
        "a report of perf",
        "Import perf.data itself, or what perf script prints: perf script > FILE",
    ),
    (
        re.compile(rb"<svg[\s>]"),
        "a picture",
        f"Import what a flame graph was drawn from. {_PY_SPY}",
    ),
)
"""What is told apart from other files that cannot be read: a pattern, its name, what to do."""


@cache
def formats() -> dict[str, Format]:
    """Return the formats by name."""
    found = {}
    for entry in pkgutil.iter_modules(__path__):
        if entry.name != _OWN and not entry.name.startswith("_"):
            module = importlib.import_module(f"{__name__}.{entry.name}")
            for value in _formats_of(module, entry.ispkg):
                found[value.name] = value
    return dict(sorted(found.items()))


def _formats_of(module: Any, package: bool) -> tuple[Format, ...]:
    """Return what a module registers; a package may be none but what its modules share."""
    if hasattr(module, "FORMATS"):
        return tuple(module.FORMATS)
    if package and not hasattr(module, "FORMAT"):
        return ()
    return (module.FORMAT,)


def writable() -> dict[str, Format]:
    """Return the formats that a session can be written in, by name."""
    return {name: each for name, each in formats().items() if each.write}


def readable() -> dict[str, Format]:
    """Return the formats that a session can be made of, by name."""
    return {name: each for name, each in formats().items() if each.read}


def recognised(file: IO[bytes], name: str = "", format: str | None = None) -> tuple[str, Read]:
    """Return the format of a file, by its content; by its name where several are as likely.

    Parameters
    ----------
    file : binary file
        Can be sought in; it is at its start afterwards.
    name : str
        Its name.
    format : str, optional
        The format, where it is not to be guessed.

    Returns
    -------
    str
        Its name.
    callable
        What reads it.

    Raises
    ------
    ImportFormatError
        It is none that can be read.
    """
    known = {each.name: each.read for each in formats().values() if each.read}
    if format is not None:
        if format not in known:
            raise ImportFormatError(
                f"There is no format {format!r} to read.", advice=f"Formats: {', '.join(known)}"
            )
        return format, known[format]
    begin = head(file)
    plain = name.removesuffix(".gz")
    likely = [
        (each.recognise(begin), plain.endswith(each.suffix.removesuffix(".gz")), each.name)
        for each in readable().values()
        if each.recognise
    ]
    chance, _, best = max(likely, default=(0.0, False, ""))
    if chance <= 0:
        for pattern, what, advice in _NO_PROFILES:
            if pattern.search(begin):
                raise ImportFormatError(f"The file is {what}, which is not read.", advice=advice)
        raise ImportFormatError(
            "The file is of no format that can be read." if begin else "The file holds nothing.",
            advice=f"If it is, name its format; these can be read: {', '.join(known)}",
        )
    return best, known[best]


def export(
    rec: Recording,
    format: str,
    path: str | os.PathLike[str],
    *,
    table: str | None = None,
    progress: Callable[[int], object] | None = None,
    cancel: threading.Event | None = None,
) -> Path:
    """Write a session, or a selection of one, in another format.

    Parameters
    ----------
    rec : Recording
        What to write; its selection is honoured.
    format : str
        One of :func:`writable`.
    path : path
        The file. It appears under this name when it is whole, and replaces an existing one.
    table : str, optional
        The table, for formats that hold one; default the session's events, or for stacks its
        CPU samples.
    progress : callable, optional
        Called with the bytes that are written so far.
    cancel : threading.Event, optional
        Once it is set, the next piece is not written any more.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    ExportError
        There is no such format, or it cannot hold what was asked for.
    MissingTableError
        The session does not hold the table.
    StorageError
        The file cannot be written. Nothing of it is left behind.
    CancelledError
        It was cancelled. Nothing of it is left behind.
    """
    target = Path(path)
    write = _writer(format)
    if target.is_dir():
        raise ExportError(f"{target} is a directory.", advice="Name a file.")
    if target.exists() and target.samefile(rec.path):
        raise ExportError(f"{target} is the session itself.", advice="Name another file.")
    with writing(target), appearing(target) as descriptor:
        _write(write, rec, WatchedFile(descriptor, progress, cancel), table)
    return target


def export_to(
    descriptor: int,
    rec: Recording,
    format: str,
    *,
    table: str | None = None,
    progress: Callable[[int], object] | None = None,
) -> None:
    """Write as :func:`export` does, to what is open already: standard output, a pipe.

    Parameters
    ----------
    descriptor : int
        Open for writing; it stays open.
    rec, format, table, progress
        As of :func:`export`.

    Raises
    ------
    ExportError, MissingTableError, StorageError
        As of :func:`export`.
    BrokenPipeError
        Nobody reads any more.
    """
    write = _writer(format)
    try:
        with writing("The output"):
            _write(write, rec, WatchedFile(os.dup(descriptor), progress), table)
    except StorageError as error:
        if error.why == os.strerror(errno.EPIPE):
            raise BrokenPipeError(errno.EPIPE, error.why) from error
        raise


def format_of(name: str) -> str | None:
    """Return the format that a file's name stands for, None for none: the longest suffix counts."""
    fitting = [each for each in writable().values() if name.endswith(each.suffix)]
    return max(fitting, key=lambda each: len(each.suffix)).name if fitting else None


def _writer(format: str) -> Write:
    chosen = formats().get(format)
    if chosen is None or chosen.write is None:
        raise ExportError(
            f"There is no format {format!r} to write.", advice=f"Formats: {', '.join(writable())}"
        )
    return chosen.write


def _write(write: Write, rec: Recording, file: WatchedFile, table: str | None) -> None:
    """Write and close a file; a cancel is told as such, whatever became of it on its way."""
    try:
        with file:
            write(rec, file, table)
    except Exception as error:
        if file.stopped and not isinstance(error, CancelledError):  # polars makes it an OSError
            raise CancelledError("The export was cancelled.") from error
        raise
