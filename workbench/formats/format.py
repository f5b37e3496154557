"""What a format is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from workbench.profiles.profile import Profile
    from workbench.recording import Recording

Write = Callable[["Recording", IO[bytes], str | None], None]
Read = Callable[[IO[bytes]], "Profile"]
Recognise = Callable[[bytes], float]


@dataclass(frozen=True)
class Format:
    """A format that a session can be written in, or made of.

    Parameters
    ----------
    name : str
        As users write it.
    suffix : str
        Usual end of the file's name.
    meaning : str
        What the file holds and what reads it, in one line.
    write : callable, optional
        Writes (recording, open binary file, table or None).
    read : callable, optional
        Makes a :class:`~workbench.profiles.profile.Profile` of an open binary file, which can be
        sought in. What it cannot understand is an
        :class:`~workbench.errors.ImportFormatError`, whatever the bytes are, in bounded time and
        memory; :mod:`workbench.profiles.content` reads files so.
    recognise : callable, optional
        Tells from the first bytes of a file (decompressed, at most
        :data:`workbench.profiles.content.HEAD`) how likely it is this format: 0 (no) to 1 (it
        cannot be anything else). Needed by what can be read; never raises.
    """

    name: str
    suffix: str
    meaning: str
    write: Write | None = None
    read: Read | None = None
    recognise: Recognise | None = None
