"""Where the loop of a stripped CPython lies: parts of a function that have no symbol.

Compilers that optimise with a profile move most of ``_PyEval_EvalFrameDefault`` into a part of its
own, ``_PyEval_EvalFrameDefault.cold``, whose local symbol is stripped; the exported one covers the
rest. Frames in that part could not be told from others, and Python frames not be put in their
place. But the loop jumps through a table of 256 addresses (``opcode_targets``,
``Python/opcode_targets.h``), one for each byte code, and those lead into few functions: their
ranges are in ``.eh_frame_hdr``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from workbench.elf import Elf
from workbench.elf_format import (
    EM_AARCH64,
    EM_X86_64,
    SHF_ALLOC,
    SHT_DYNSYM,
    SHT_PROGBITS,
    SHT_RELA,
    Section,
)
from workbench.errors import ObjectFormatError

LOOP = "_PyEval_EvalFrameDefault"
PART = LOOP + ".cold"
TARGETS = 256
"""Entries of opcode_targets in all versions from 3.11 to 3.14."""
MAX_PARTS = 4
MIN_BYTES = 1 << 14
"""Least size of all parts: the loop has from 40 to 90 KiB, other tables of that size lead into
less."""
_RELATIVE = {EM_X86_64: 8, EM_AARCH64: 1027}
"""Relocations that add the base address (psABIs: R_X86_64_RELATIVE, R_AARCH64_RELATIVE)."""
_HEADER = b"\x01\x1b\x03\x3b"
"""Version 1, and the encodings that linkers write (LSB 5.0, 10.6.2): pcrel sdata4, udata4, datarel
sdata4."""
_RELA = np.dtype([("offset", "<u8"), ("info", "<u8"), ("addend", "<u8")])


def loop_symbols(elf: Elf) -> dict[int, tuple[int, str]]:
    """Return the parts of the interpreter's loop that have no symbol.

    Parameters
    ----------
    elf : Elf
        Any file.

    Returns
    -------
    dict of int to (int, str)
        Address to size and name, empty where the file is no such interpreter.
    """
    try:
        known = _loop_address(elf)
        starts = _function_starts(elf, known) if known else np.zeros(0, np.int64)
        if len(starts) < 2:
            return {}
        for words in _pointers(elf):
            found = _parts(words, starts)
            if found:
                return {at: (size, PART) for at, size in found.items() if at != known}
    except (ObjectFormatError, struct.error):
        pass  # what is malformed has no table that can be found
    return {}


def _loop_address(elf: Elf) -> int:
    """Return the address of the exported symbol, 0 where there is none."""
    if elf.bits != 64 or elf.byteorder != "little":
        return 0
    symbols = elf.symbols(SHT_DYNSYM)
    at = symbols.strings.find(LOOP.encode() + b"\0")
    rows = np.flatnonzero((symbols.table["name"] == at) & (symbols.table["value"] > 0))
    return int(symbols.table["value"][rows[0]]) if at > 0 and len(rows) else 0


def _function_starts(elf: Elf, address: int) -> NDArray[np.int64]:
    """Return where functions, and parts, start in the section of an address, and its end."""
    section = elf.sections.get(".eh_frame_hdr")
    if section is None:
        return np.zeros(0, np.int64)
    content = elf.section_bytes(section)
    if content[:4] != _HEADER:
        return np.zeros(0, np.int64)
    (count,) = struct.unpack_from("<I", content, 8)
    count = min(count, (len(content) - 12) // 8)
    table = np.frombuffer(content, "<i4", 2 * count, 12)
    starts = np.sort(table[::2].astype(np.int64)) + np.int64(section.addr % (1 << 62))
    # Not the stubs of .plt, which the table of their addresses leads into.
    around = next((s for s in elf.section_list if s.executable and _holds(s, address)), None)
    if around is None:
        return starts[:0]
    end = min(around.addr + around.size, 1 << 62)
    return np.append(starts[(starts >= around.addr) & (starts < end)], end)


def _holds(section: Section, address: int) -> bool:
    return section.addr <= address < section.addr + section.size


def _pointers(elf: Elf) -> Iterator[NDArray[np.int64]]:
    """Return the words of each section of data, as they are once the file is loaded."""
    offsets, addends = _relocations(elf)
    for section in elf.section_list:
        data = section.type == SHT_PROGBITS and section.flags & SHF_ALLOC
        if not data or section.executable or section.size < TARGETS * 8 or section.addr % 8:
            continue
        content = elf.section_bytes(section)
        words = np.frombuffer(content, "<u8", len(content) // 8).copy()
        low, high = np.searchsorted(offsets, _range(section, len(words)))
        words[(offsets[low:high] - np.uint64(section.addr)) // np.uint64(8)] = addends[low:high]
        yield np.minimum(words, np.uint64(1 << 62)).astype(np.int64)


def _range(section: Section, words: int) -> NDArray[np.uint64]:
    top = (1 << 64) - 1
    return np.array([min(section.addr, top), min(section.addr + 8 * words, top)], np.uint64)


def _relocations(elf: Elf) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return places and addresses of relative relocations, by place."""
    tables = [np.zeros(0, _RELA)]
    for section in elf.section_list:
        if section.type == SHT_RELA and section.flags & SHF_ALLOC:
            content = elf.section_bytes(section)
            tables.append(np.frombuffer(content, _RELA, len(content) // _RELA.itemsize))
    table = np.concatenate(tables)
    table = table[table["info"] == _RELATIVE.get(elf.machine, 0)]
    table = table[table["offset"] % 8 == 0]
    table = table[np.argsort(table["offset"], kind="stable")]
    return table["offset"], table["addend"]


def _parts(words: NDArray[np.int64], starts: NDArray[np.int64]) -> dict[int, int]:
    """Return start and size of the functions that a table among these words leads into."""
    inside = (words >= starts[0]) & (words < starts[-1])
    edges = np.flatnonzero(np.diff(np.r_[False, inside, False].astype(np.int8)))
    for first, end in edges.reshape(-1, 2).tolist():
        if end - first < TARGETS:
            continue
        # The table stands alone, or other addresses lie before or behind it.
        for at in {first, end - TARGETS}:
            found = _functions_of(words[at : at + TARGETS], starts)
            if found:
                return found
    return {}


def _functions_of(targets: NDArray[np.int64], starts: NDArray[np.int64]) -> dict[int, int]:
    place = np.unique(np.searchsorted(starts, targets, "right") - 1)
    sizes = starts[place + 1] - starts[place]
    distinct = len(np.unique(targets)) > TARGETS // 2
    if len(place) > MAX_PARTS or not distinct or sizes.sum() < MIN_BYTES:
        return {}
    return dict(zip(starts[place].tolist(), sizes.tolist(), strict=True))
