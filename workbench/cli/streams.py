"""The standard streams of ``export`` and ``convert``: data in and out of pipes, progress."""

from __future__ import annotations

import os
import select
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import ExportError

if TYPE_CHECKING:
    from workbench.recording import Recording

STANDARD = "-"
"""In place of a file: standard input or output."""
_LOOK_S = 0.2
"""Seconds after which signals are looked for."""
_TEXT = (".csv", ".json", ".jsonl", ".folded")


@contextmanager
def progress_line() -> Iterator[Callable[[str], object] | None]:
    """Give what shows the progress in a line of the terminal, which is gone at the end."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield None
        return

    def show(text: str) -> None:
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

    try:
        yield show
    finally:
        print(end="\r\x1b[K", file=sys.stderr, flush=True)


@contextmanager
def input_file(name: str) -> Iterator[str]:
    """Give a file that can be sought in: the one that is named, or what standard input has."""
    if name != STANDARD:
        yield name
        return
    with tempfile.TemporaryDirectory(prefix="workbench-") as folder:
        path = Path(folder) / "stdin"
        with path.open("wb") as file:
            for block in _blocks(sys.stdin.fileno()):
                file.write(block)
        yield str(path)


def _blocks(descriptor: int) -> Iterator[bytes]:
    """Yield what comes until its end, in a way that signals interrupt.

    A signal that arrives right before a read does not interrupt it, and Python's own files read
    several times before they look for signals: without the timeout, SIGTERM could wait for data.
    """
    while True:
        ready, _, _ = select.select([descriptor], [], [], _LOOK_S)
        if ready:
            block = os.read(descriptor, 1 << 20)
            if not block:
                return
            yield block


def write_output(rec: Recording, format: str, table: str | None) -> None:
    """Write a session to standard output.

    Raises
    ------
    ExportError
        That is a terminal, and the format not text; or as of :func:`workbench.formats.export`.
    BrokenPipeError
        Nobody reads any more.
    """
    from workbench.exporting import unfit
    from workbench.formats import export_to, writable

    chosen = writable().get(format)
    if chosen and sys.stdout.isatty() and not chosen.suffix.endswith(_TEXT):
        raise ExportError(
            f"{format} is no text, so it is not written to a terminal.",
            advice=f"Name a file (-o NAME{chosen.suffix}), or read it: ... | COMMAND",
        )
    if error := unfit(rec, format, table):
        raise error
    sys.stdout.flush()
    export_to(sys.stdout.fileno(), rec, format, table=table)
