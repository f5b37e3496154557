"""What libbcc and the compiler in it print: taken from stderr, and turned into errors."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from workbench.probe.clib import libc

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SHOWN = 12
"""Last lines of a log that an error shows."""
STDOUT, STDERR = 1, 2
_lock = threading.RLock()


class Messages:
    """Text that was printed; complete when its block has ended."""

    text = ""


@contextmanager
def captured(*, output: bool = False) -> Iterator[Messages]:
    """Collect what is written to descriptor 2, where libbcc prints whatever went wrong.

    The descriptor is the process's own: what other threads print meanwhile is collected, too.

    Parameters
    ----------
    output : bool
        Descriptor 1 as well, where libbcc tells what it does when it is asked to.
    """
    messages = Messages()
    descriptors = (STDOUT, STDERR) if output else (STDERR,)
    with _lock, tempfile.TemporaryFile() as file:
        _flush()
        kept = [os.dup(each) for each in descriptors]
        for each in descriptors:
            os.dup2(file.fileno(), each)
        try:
            yield messages
        finally:
            _flush()
            for each, before in zip(descriptors, kept, strict=True):
                os.dup2(before, each)
                os.close(before)
            file.seek(0)
            messages.text = file.read().decode("utf-8", "replace")


def _flush() -> None:
    """Empty the buffers of Python and of the C library."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    libc().fflush(None)


_SOURCE_LINE = re.compile(r"@ main\.c:(\d+)|// Line +(\d+)")
"""Since Linux 6.9, and as BCC puts it behind each line."""
_HINT = re.compile(r"^\d+ (?:error|warning)s? generated\.?.*$", re.MULTILINE)


def compiler_errors(text: str, first: int = 0, file: str = "/virtual/main.c") -> str:
    """Return the compiler's errors with the lines of the program that they are about.

    Parameters
    ----------
    text : str
        What was printed.
    first : int
        Lines that were put before the program.
    file : str
        How the compiler calls it.
    """
    blocks = re.split(r"(?m)^(?=\S.*?:\d+:\d+: (?:fatal )?(?:error|warning|note): )", text)
    errors = [block for block in blocks if re.match(r"\S.*?:\d+:\d+: (?:fatal )?error: ", block)]
    shown = "".join(errors) or text
    place = re.compile(rf"^{re.escape(file)}:(\d+):\d+: ", re.MULTILINE)
    shown = place.sub(lambda m: f"line {int(m[1]) - first}: ", _HINT.sub("", shown))
    lines = [line.rstrip() for line in shown.splitlines() if line.strip()]
    return "\n".join(lines[:SHOWN])


def verifier_end(text: str, lines: Mapping[int, int] | None = None) -> str:
    """Return the last lines of the verifier's log, without its statistics.

    Parameters
    ----------
    text : str
        What was printed.
    lines : mapping of int to int, optional
        Line of the program for each line that the verifier counts.
    """
    known = lines or {}

    def place(match: re.Match[str]) -> str:
        line = known.get(int(match[1] or match[2]))
        return f"// line {line}" if line else ""

    kept = [line.rstrip() for line in text.splitlines() if line.strip()]
    kept = [line for line in kept if not line.startswith(("processed ", "verification time"))]
    return "\n".join(_SOURCE_LINE.sub(place, line).rstrip() for line in kept[-SHOWN:])
