"""The standard streams of ``export`` and ``convert``: data in and out of pipes, progress."""

from __future__ import annotations

import shutil
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
            shutil.copyfileobj(sys.stdin.buffer, file)
        yield str(path)


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
