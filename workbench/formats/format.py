"""What a format is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from workbench.schema import SIDE_TABLES

if TYPE_CHECKING:
    from workbench.profiles.profile import Profile
    from workbench.recording import Recording

Write = Callable[["Recording", IO[bytes], str | None], None]
Read = Callable[[IO[bytes]], "Profile"]
Recognise = Callable[[bytes], float]
Tables = Callable[["Recording"], Sequence[str]]


def all_tables(rec: Recording) -> list[str]:
    """Return the tables of a session: of formats that hold one table, whichever."""
    return list(rec.tables)


def event_tables(rec: Recording) -> list[str]:
    """Return the tables with events."""
    return [name for name in rec.tables if name not in SIDE_TABLES]


def stack_tables(rec: Recording) -> list[str]:
    """Return the tables whose events have stacks."""
    return [name for name in event_tables(rec) if "stack_id" in rec[name].schema.names]


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
    tables : callable, optional
        Gives of a recording what `table` may be; the format takes none where it is missing.
    """

    name: str
    suffix: str
    meaning: str
    write: Write | None = None
    read: Read | None = None
    recognise: Recognise | None = None
    tables: Tables | None = None
