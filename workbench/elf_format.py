"""Constants, structures and records of the ELF format, for :mod:`workbench.elf`.

Sources: System V gABI, chapters 4 and 5, and ``include/uapi/linux/elf.h``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.errors import ObjectFormatError

EM_386, EM_X86_64, EM_AARCH64, EM_BPF = 3, 62, 183, 247
ET_REL, ET_EXEC, ET_DYN = 1, 2, 3
SHT_PROGBITS, SHT_SYMTAB, SHT_STRTAB, SHT_RELA, SHT_NOTE, SHT_NOBITS, SHT_REL = 1, 2, 3, 4, 7, 8, 9
SHT_DYNSYM = 11
SHF_WRITE, SHF_ALLOC, SHF_EXECINSTR, SHF_COMPRESSED = 1, 2, 4, 0x800
PT_LOAD, PT_NOTE = 1, 4
PF_X = 1
STB_LOCAL, STB_GLOBAL, STB_WEAK = 0, 1, 2
STT_NOTYPE, STT_OBJECT, STT_FUNC, STT_SECTION, STT_GNU_IFUNC = 0, 1, 2, 3, 10
SHN_UNDEF, SHN_XINDEX = 0, 0xFFFF
NT_GNU_BUILD_ID = 3

MAX_SECTIONS = 1 << 16
MAX_SEGMENTS = 1 << 12
MAX_SECTION_BYTES = 1 << 29
MAX_SYMBOLS = 1 << 23
MAX_NOTE_BYTES = 1 << 16
MAX_NOTE_PLACES = 64
MAX_BUILD_ID = 64
MAX_NAME = 4096
"""Longest name of a symbol that is read, in bytes; a longer one is cut."""
MAX_SECTION_NAME = 512

SYMBOL = np.dtype(
    [
        ("value", "u8"),
        ("size", "u8"),
        ("name", "u4"),
        ("shndx", "u2"),
        ("info", "u1"),
        ("other", "u1"),
    ]
)
"""A symbol, in the machine's byte order whatever the file's class and byte order are."""

_HALF, _WORD, _LONG, _BYTE = (2, 2), (4, 4), (4, 8), (1, 1)
HEADER = {
    **{"type": _HALF, "machine": _HALF, "version": _WORD, "entry": _LONG, "phoff": _LONG},
    **{"shoff": _LONG, "flags": _WORD, "ehsize": _HALF, "phentsize": _HALF, "phnum": _HALF},
    **{"shentsize": _HALF, "shnum": _HALF, "shstrndx": _HALF},
}
SECTION = {
    **{"name": _WORD, "type": _WORD, "flags": _LONG, "addr": _LONG, "offset": _LONG},
    **{"size": _LONG, "link": _WORD, "info": _WORD, "addralign": _LONG, "entsize": _LONG},
}
SEGMENT = {
    **{"type": _WORD, "flags": _WORD, "offset": _LONG, "vaddr": _LONG, "paddr": _LONG},
    **{"filesz": _LONG, "memsz": _LONG, "align": _LONG},
}
SYMBOL_LAYOUT = {
    **{"name": _WORD, "info": _BYTE, "other": _BYTE, "shndx": _HALF},
    **{"value": _LONG, "size": _LONG},
}
"""Structures: field -> (bytes in 32-bit files, bytes in 64-bit files), ordered as in the latter."""

ORDER_32 = {
    "segment": ("type", "offset", "vaddr", "paddr", "filesz", "memsz", "flags", "align"),
    "symbol": ("name", "value", "size", "info", "other", "shndx"),
}
"""Structures whose order of fields differs in 32-bit files."""


@dataclass(frozen=True)
class Section:
    """One section header, with its name."""

    index: int
    name: str
    type: int
    flags: int
    addr: int
    offset: int
    size: int
    link: int
    info: int
    entsize: int

    @property
    def compressed(self) -> bool:
        """Whether the content is compressed (it is never decompressed here)."""
        return bool(self.flags & SHF_COMPRESSED)

    @property
    def executable(self) -> bool:
        """Whether the section holds machine code."""
        return bool(self.flags & SHF_EXECINSTR)


@dataclass(frozen=True)
class Segment:
    """One program header."""

    type: int
    flags: int
    offset: int
    vaddr: int
    filesz: int
    memsz: int


@dataclass(frozen=True)
class Symbols:
    """A symbol table with its string table.

    Parameters
    ----------
    table : numpy.ndarray
        Of dtype :data:`SYMBOL`, in the order of the file.
    strings : bytes
        The string table that ``table["name"]`` points into.
    """

    table: NDArray[Any] = field(default_factory=lambda: np.zeros(0, SYMBOL))
    strings: bytes = b""

    def __len__(self) -> int:
        return len(self.table)

    def name(self, index: int) -> str:
        """Return the name of symbol `index`, at most `MAX_NAME` bytes of it."""
        return string_at(self.strings, int(self.table["name"][index]))

    def names(self) -> list[str]:
        """Return the names of all symbols.

        Raises
        ------
        ObjectFormatError
            They have more than :data:`MAX_SECTION_BYTES` characters: many symbols share the
            tails of long strings.
        """
        names: list[str] = []
        total = 0
        for offset in self.table["name"].tolist():
            names.append(string_at(self.strings, offset))
            total += len(names[-1])
            if total > MAX_SECTION_BYTES:
                raise ObjectFormatError("The names of the symbols are too long together.")
        return names


def string_at(strings: bytes, offset: int, longest: int = MAX_NAME) -> str:
    """Return the zero-terminated string at `offset`, "" beyond the end."""
    limit = min(offset + longest, len(strings))
    end = strings.find(b"\0", offset, limit)
    return strings[offset : end if end >= 0 else limit].decode("utf-8", "replace")
