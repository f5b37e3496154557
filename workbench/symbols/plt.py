"""Names of PLT stubs: the jumps through which a file calls functions of others.

A stub of x86-64 is ``jmp *disp32(%rip)`` (ff 25, after ``endbr64`` and ``bnd`` where control flow
is protected); the slot it jumps through has a relocation with the function's symbol (psABI for
x86-64, "Procedure Linkage Table"). Reading the jump works for ``.plt``, ``.plt.sec`` and
``.plt.got`` of all linkers; other machines' stubs stay unnamed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.elf import Elf
from workbench.elf_format import EM_X86_64, SHT_DYNSYM, SHT_RELA, Section

MAX_STUBS = 1 << 18
MAX_ADDRESS = 1 << 62
"""Addresses above it would not fit the signed arithmetic below; no user program is there."""

_STUB_SECTIONS = (".plt", ".plt.sec", ".plt.got")
_RELOCATION_SECTIONS = (".rela.plt", ".rela.dyn")
_RELOCATION = np.dtype([("offset", "<u8"), ("info", "<u8"), ("addend", "<i8")])
_JUMP_BYTES = 6


def plt_symbols(elf: Elf) -> dict[int, tuple[int, str]]:
    """Return the stubs of a file.

    Parameters
    ----------
    elf : Elf
        The open file.

    Returns
    -------
    dict of int to (int, str)
        Address of each stub -> its size in bytes and its name, ``function@plt``. Empty for
        machines other than x86-64.

    Raises
    ------
    ObjectFormatError
        A section or the dynamic symbol table reaches beyond the file.
    """
    sections = [elf.sections[name] for name in _STUB_SECTIONS if name in elf.sections]
    sections = [each for each in sections if each.addr + each.size < MAX_ADDRESS]
    if elf.machine != EM_X86_64 or elf.bits != 64 or not sections:
        return {}
    slots = _slots(elf)
    symbols = elf.symbols(SHT_DYNSYM)
    stubs: dict[int, tuple[int, str]] = {}
    for section in sections:
        size = 8 if section.entsize == 8 else 16
        for start, slot in _jumps(elf, section, size):
            symbol = slots.get(slot, 0)
            if 0 < symbol < len(symbols) and len(stubs) < MAX_STUBS:
                name = symbols.name(symbol)
                stubs[start] = (size, f"{name}@plt")
    return stubs


def _slots(elf: Elf) -> dict[int, int]:
    """Return the address of each slot that a relocation fills -> index of its symbol."""
    slots: dict[int, int] = {}
    for name in _RELOCATION_SECTIONS:
        section = elf.sections.get(name)
        if section is None or section.type != SHT_RELA or section.compressed:
            continue
        content = elf.section_bytes(section)
        table = np.frombuffer(content, _RELOCATION, len(content) // _RELOCATION.itemsize)
        table = table[table["info"] >> np.uint64(32) != 0][:MAX_STUBS]
        indices = table["info"] >> np.uint64(32)
        slots.update(zip(table["offset"].tolist(), indices.tolist(), strict=True))
    return slots


def _jumps(elf: Elf, section: Section, size: int) -> list[tuple[int, int]]:
    """Return (address of the stub, address of the slot) of the jumps in a section."""
    code = np.frombuffer(elf.section_bytes(section), np.uint8)
    if len(code) < _JUMP_BYTES:
        return []
    at = np.flatnonzero((code[:-5] == 0xFF) & (code[1:-4] == 0x25))[:MAX_STUBS]
    displacements = _signed_words(code, at + 2)
    stubs = section.addr + (at // size) * size
    slots = section.addr + at + _JUMP_BYTES + displacements
    return list(zip(stubs.tolist(), slots.tolist(), strict=True))


def _signed_words(code: NDArray[np.uint8], at: NDArray[Any]) -> NDArray[np.int64]:
    """Return the little-endian 32-bit numbers at places of the code."""
    word = np.zeros(len(at), np.uint32)
    for byte in range(4):
        word |= code[at + byte].astype(np.uint32) << np.uint32(8 * byte)
    return word.view(np.int32).astype(np.int64)
