"""Statically defined probes of programs (USDT): the notes in ``.note.stapsdt``.

Format: SystemTap wiki, "UserSpaceProbeImplementation"; sys/sdt.h. A note has the type 3, the name
``stapsdt``, and as content three words of the file's class (address of the probe, of the section
``.stapsdt.base`` when the file was linked, of the semaphore) and three strings that end in a zero
byte: provider, name, arguments.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from difflib import get_close_matches

from workbench.elf import Elf
from workbench.errors import AttachError, ObjectFormatError
from workbench.symbols.places import file_offset, open_program, resolved

SECTION = ".note.stapsdt"
BASE = ".stapsdt.base"
NOTE_TYPE = 3
MAX_NOTES = 1 << 16


@dataclass(frozen=True)
class Note:
    """A place of a static probe; a probe may have several.

    Parameters
    ----------
    provider, name : str
    address : int
        In the file's own virtual address space.
    semaphore : int
        Address of the counter that turns the probe's arguments on; 0: it has none.
    arguments : str
        As the compiler wrote them: ``-4@%edi 8@-16(%rbp)``.
    """

    provider: str
    name: str
    address: int
    semaphore: int
    arguments: str


@dataclass(frozen=True)
class Site:
    """Where to attach for a note: offsets in the file; ``semaphore`` is 0 for none."""

    path: str
    offset: int
    semaphore: int
    arguments: str


def notes(elf: Elf) -> list[Note]:
    """Return the static probes of a file; damaged notes end the list.

    Raises
    ------
    ObjectFormatError
        The section cannot be read.
    """
    if SECTION not in elf.sections:
        return []
    data = elf.section_bytes(SECTION)
    order = "<" if elf.byteorder == "little" else ">"
    words = struct.Struct(order + ("3Q" if elf.bits == 64 else "3I"))
    base = elf.sections[BASE].addr if BASE in elf.sections else 0
    found: list[Note] = []
    at = 0
    while at + 12 <= len(data) and len(found) < MAX_NOTES:
        name_size, size, kind = struct.unpack_from(f"{order}3I", data, at)
        content = at + 12 + (name_size + 3 & ~3)
        name = data[at + 12 : at + 12 + name_size]
        at = content + (size + 3 & ~3)
        if at > len(data):
            break
        texts = data[content + words.size : content + size].split(b"\0")
        if kind != NOTE_TYPE or name != b"stapsdt\0" or size < words.size or len(texts) < 3:
            continue
        address, linked_base, semaphore = words.unpack_from(data, content)
        moved = base - linked_base if base and linked_base else 0  # prelink moves what it links
        provider, probe, arguments = (text.decode("utf-8", "replace") for text in texts[:3])
        semaphore = semaphore + moved if semaphore else 0
        found.append(Note(provider, probe, address + moved, semaphore, arguments))
    return found


def find(path: str, provider: str, name: str) -> list[Site]:
    """Return where to attach for a static probe.

    Parameters
    ----------
    path : str
        See :func:`workbench.symbols.places.resolved`.
    provider : str
        "" for any.

    Raises
    ------
    AttachError
        No such file, no static probes in it, or none of that name.
    """
    path = resolved(path)
    with open_program(path) as elf:
        try:
            there = notes(elf)
        except ObjectFormatError as error:
            raise AttachError(f"The probes of {path} cannot be read.", why=error.why) from error
        mine = [n for n in there if n.name == name and provider in ("", n.provider)]
        if not mine:
            raise _unknown(path, provider, name, there)
        if len({n.provider for n in mine}) > 1:
            names = ", ".join(sorted({f"{n.provider}:{n.name}" for n in mine}))
            raise AttachError(f"Several probes of {path} have that name: {names}.")
        return [
            Site(
                path,
                file_offset(elf, path, each.address),
                file_offset(elf, path, each.semaphore, code=False) if each.semaphore else 0,
                each.arguments,
            )
            for each in mine
        ]


def _unknown(path: str, provider: str, name: str, there: list[Note]) -> AttachError:
    what = f"{path} has no static probe {provider + ':' if provider else ''}{name}."
    if not there:
        return AttachError(
            what,
            why="it has none at all: it was built without them, or they were stripped",
            advice=f"Use uprobe:{path}:FUNCTION..",
        )
    names = sorted({f"{note.provider}:{note.name}" for note in there})
    close = get_close_matches(f"{provider}:{name}", names, 5, 0.4) or names
    more = f" ({len(names)} in all)" if len(names) > len(close) else ""
    return AttachError(what, advice=f"It has: {', '.join(close[:12])}{more}.")
