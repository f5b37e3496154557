"""What libbcc and the compiler in it print: taken from stderr, and turned into errors."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SHOWN = 12
"""Last lines of a log that an error shows."""
STDERR = 2
_lock = threading.RLock()


class Messages:
    """Text that was printed; complete when its block has ended."""

    text = ""


@contextmanager
def captured() -> Iterator[Messages]:
    """Collect what is written to descriptor 2, where libbcc prints whatever went wrong.

    The descriptor is the process's own: what other threads print meanwhile is collected, too.
    """
    messages = Messages()
    with _lock, tempfile.TemporaryFile() as file:
        if sys.stderr is not None:
            sys.stderr.flush()
        kept = os.dup(STDERR)
        os.dup2(file.fileno(), STDERR)
        try:
            yield messages
        finally:
            os.dup2(kept, STDERR)
            os.close(kept)
            file.seek(0)
            messages.text = file.read().decode("utf-8", "replace")


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


def verifier_end(text: str, first: int = 0) -> str:
    """Return the last lines of the verifier's log, without its statistics.

    Parameters
    ----------
    text : str
        What was printed.
    first : int
        Lines that were put before the program.
    """
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith(("processed ", "verification time"))]
    shown = "\n".join(lines[-SHOWN:])
    return _SOURCE_LINE.sub(lambda m: f"// line {int(m[1] or m[2]) - first}", shown)
