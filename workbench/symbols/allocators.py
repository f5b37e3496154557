"""Allocators in ELF files: the functions that hand memory out and take it back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.elf import Elf
from workbench.elf_format import PF_X, SHT_DYNSYM, SHT_SYMTAB, STT_FUNC, Symbols
from workbench.errors import ObjectFormatError
from workbench.symbols.cheap_places import LOOKED_AT, cheap_place

# ISO C23, 7.24.3; POSIX.1-2024, posix_memalign(); malloc(3)
ALLOCATE = {
    "malloc": "malloc_enter",
    "calloc": "calloc_enter",
    "realloc": "realloc_enter",
    "reallocarray": "reallocarray_enter",
    "memalign": "memalign_enter",
    "aligned_alloc": "memalign_enter",
    "posix_memalign": "posix_memalign_enter",
    # Allocators with operators of their own; others' call malloc (Itanium C++ ABI names)
    "_Znwm": "malloc_enter",
    "_Znam": "malloc_enter",
}
"""Function to the program of bpf/memory.bpf.c at its entry."""
RELEASE = ("free", "_ZdlPv", "_ZdaPv", "_ZdlPvm", "_ZdaPvm")
NEEDED = {"malloc", "free"}
"""A file without these is no allocator: libstdc++ has operators, which call malloc."""


@dataclass(frozen=True)
class Allocator:
    """An allocator of a file.

    Parameters
    ----------
    allocate : dict of int to str
        File offset to the name of the program at the entry of what hands memory out. The entry,
        or where a probe costs less (:mod:`workbench.symbols.cheap_places`).
    release : tuple of int
        File offsets of what takes it back.
    """

    allocate: dict[int, str]
    release: tuple[int, ...]


def allocator_of(elf: Elf) -> Allocator | None:
    """Return the allocator of a file, None if it has none.

    Raises
    ------
    ObjectFormatError
        The file is damaged.
    """
    found: dict[str, int] = {}
    for kind in (SHT_DYNSYM, SHT_SYMTAB):
        found = _functions(elf, elf.symbols(kind))
        if found.keys() >= NEEDED:
            break
    else:
        return None
    allocate = {found[name]: program for name, program in ALLOCATE.items() if name in found}
    return Allocator(allocate, tuple(dict.fromkeys(found[n] for n in RELEASE if n in found)))


def allocator_in(path: str) -> Allocator | None:
    """Return the allocator of a file; None where it has none or is no ELF file."""
    try:
        with Elf.open(path) as elf:
            return allocator_of(elf)
    except ObjectFormatError:
        return None


def _functions(elf: Elf, symbols: Symbols) -> dict[str, int]:
    """File offsets of the functions that count, by name without version."""
    table = symbols.table
    if not len(table):
        return {}
    chosen = (table["info"] & 15 == STT_FUNC) & (table["shndx"] > 0) & (table["value"] > 0)
    places: dict[int, str] = {}
    for name in (*ALLOCATE, *RELEASE):
        for text in (name.encode() + b"\0", name.encode() + b"@"):
            at = symbols.strings.find(text)
            while at >= 0:
                places[at] = name
                at = symbols.strings.find(text, at + 1)
    rows = table[chosen & np.isin(table["name"], np.array(list(places), np.uint32))]
    found: dict[str, int] = {}
    for row in rows:
        address = int(row["value"])
        offset = _file_offset(elf, address)
        if offset:
            offset += cheap_place(elf.bytes_at(address, LOOKED_AT), elf.machine)
            found.setdefault(places[int(row["name"])], offset)
    return found


def _file_offset(elf: Elf, address: int) -> int:
    for segment in elf.loads:
        if segment.flags & PF_X and segment.vaddr <= address < segment.vaddr + segment.filesz:
            return address - segment.vaddr + segment.offset
    return 0
