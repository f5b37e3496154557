"""The list of mappings behind a legacy profile, and to which of them addresses belong."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from workbench.formats.pprof.legacy.text import refused
from workbench.formats.pprof.places import Mapping

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_LINES = 1 << 18
"""Linux allows a process 65,530 mappings unless it is told otherwise (vm.max_map_count)."""
_MAX_NAMES = 64
_MAX_LINE = 10_000
_TOP = (1 << 64) - 1
_PROGRAM = 0x400000
"""Where programs are linked to that are not position-independent, on x86-64."""

_RANGE = r"\s*(?:0x)?([0-9a-fA-F]{1,16})[\s-]\s*(?:0x)?([0-9a-fA-F]{1,16}):?"
_PROC = re.compile(
    _RANGE + r"(?:\s+([-rwxps]{3,5}))?(?:\s+([0-9a-fA-F]{1,16}))?"
    r"\s+[0-9a-fA-F]+:[0-9a-fA-F]+\s+\d+(?:\s+(\S.*))?$"
)
"""A line of /proc/PID/maps (proc(5))."""
_BRIEF = re.compile(
    _RANGE + r"(?:\s+([-rwxp]+)(?=\s|$))?(?:\s+(\S+))?(?:\s+\(?@\s*([0-9a-fA-F]{1,16})\)?)?"
    r"(?:\s+([0-9a-fA-F]+))?\s*$"
)
"""``start-end file (@offset) build id``, of other systems."""
_LIBRARY = re.compile(r"\.so$|\.so[._]\d+")


def mappings(lines: Iterable[str]) -> list[Mapping]:
    """Return the mappings that hold code, the program's first, and neighbours as one.

    Parameters
    ----------
    lines : iterable of str
        As in /proc/PID/maps; what is no mapping is left out. ``NAME=VALUE`` says what ``$NAME``
        stands for in lines that follow.

    Raises
    ------
    ImportFormatError
        There are too many.
    """
    found: list[Mapping] = []
    values: dict[str, str] = {}
    for number, text in enumerate(lines):
        if number >= MAX_LINES:
            raise refused(f"it has more than {MAX_LINES:,} lines of mappings")
        line = _replaced(text, values)
        each = _mapping(line)
        if each is None:
            name, equals, value = line.partition("=")
            if equals and name.strip() and len(values) < _MAX_NAMES:
                values[f"${name.strip()}"] = value.strip()
        elif found and _adjacent(found[-1], each):
            found[-1] = replace(found[-1], limit=each.limit, file=each.file or found[-1].file)
        elif each.limit > each.start:
            found.append(each)
    return _program_first(found)


def _replaced(line: str, values: dict[str, str]) -> str:
    for name, value in values.items() if "$" in line else ():
        line = line.replace(name, value)[:_MAX_LINE]
    return line


def _mapping(line: str) -> Mapping | None:
    """Return the mapping of a line: an empty one where it holds no code, None for no mapping."""
    build_id = ""
    if match := _PROC.match(line):
        start, limit, rights, offset, file = match.groups()
        file = (file or "").strip().removesuffix(" (deleted)")
    elif match := _BRIEF.match(line):
        start, limit, rights, file, offset, build_id = match.groups()
    else:
        return None
    if rights and "x" not in rights:
        return Mapping(0, 0, 0, "", "")
    place = (int(start, 16), int(limit, 16), int(offset or "0", 16))
    # What they hold is not looked up yet.
    return Mapping(*place, file or "", build_id or "", False, False, False, False)


def _adjacent(one: Mapping, two: Mapping) -> bool:
    same = (not one.file or not two.file or one.file == two.file) and (
        not one.build_id or not two.build_id or one.build_id == two.build_id
    )
    follows = one.offset + one.limit - one.start == two.offset
    return same and one.limit == two.start and (not one.offset or not two.offset or follows)


def _program_first(found: list[Mapping]) -> list[Mapping]:
    """Exchange the first mapping with that of the program, as pprof takes the first one for it."""
    for at, each in enumerate(found):
        file = each.file.strip()
        if file and not file.startswith("[") and not _LIBRARY.search(file):
            found[0], found[at] = found[at], found[0]
            break
    return found


def assigned(
    known: Iterable[Mapping], address: NDArray[np.uint64]
) -> tuple[list[Mapping], NDArray[np.int64]]:
    """Return mappings, mended, and which one each address is in; -1 for address 0.

    Of mappings that were split, the first part may be missing: they are extended to where their
    file begins. What is in none is in one that has no name, as that of Go's texts, which tell none.
    """
    found = list(known)
    if len(found) > 1 and found[0].file.startswith("/anon_hugepage"):
        found = found[1:] if found[0].limit == found[1].start else found
    if found and found[0].start - found[0].offset == _PROGRAM:
        found[0] = replace(found[0], start=_PROGRAM, offset=0)
    row = np.full(len(address), -1)
    if found:
        starts = np.array([each.start for each in found], np.uint64)
        limits = np.array([each.limit for each in found], np.uint64)
        order = np.argsort(starts, kind="stable")
        at = np.searchsorted(starts[order], address, side="right") - 1
        row = np.where((at >= 0) & (address < limits[order[at]]), order[at], -1)
    row[address == 0] = -1
    for number, each in enumerate(found):
        if 0 < each.offset <= each.start:
            begin = each.start - each.offset
            before = (row < 0) & (address >= np.uint64(begin)) & (address < np.uint64(each.start))
            before &= address != 0
            if before.any():
                row[before] = number
                found[number] = replace(each, start=begin, offset=0)
    lost = (row < 0) & (address != 0)
    if lost.any():
        row[lost] = len(found)
        found.append(Mapping(0, _TOP, 0, "", "", False, False, False, False))
    return found, row
