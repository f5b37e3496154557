"""What a format is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from workbench.recording import Recording

Write = Callable[["Recording", IO[bytes], str | None], None]


@dataclass(frozen=True)
class Format:
    """A format that a session can be written in.

    Parameters
    ----------
    name : str
        As users write it.
    suffix : str
        Usual end of the file's name.
    meaning : str
        What the file holds and what reads it, in one line.
    write : callable
        Writes (recording, open binary file, table or None).
    """

    name: str
    suffix: str
    meaning: str
    write: Write
