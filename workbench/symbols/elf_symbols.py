"""Functions of an ELF file: from addresses in the file to names.

The symbols come from ``.symtab`` of the file or of its separate debug file, else from ``.dynsym``
and the small table that some distributions leave in ``.gnu_debugdata``; PLT stubs are named
``function@plt``. Symbol types and bindings: System V gABI, chapter 4, "Symbol Table".
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.elf import Elf
from workbench.elf_format import (
    SHT_DYNSYM,
    SHT_SYMTAB,
    STB_GLOBAL,
    STB_LOCAL,
    STB_WEAK,
    STT_FUNC,
    STT_GNU_IFUNC,
    STT_NOTYPE,
    Section,
    Symbols,
)
from workbench.errors import ObjectFormatError
from workbench.symbols.demangle import demangled
from workbench.symbols.mini_debuginfo import mini_debuginfo
from workbench.symbols.plt import plt_symbols
from workbench.symbols.python_loop import loop_symbols
from workbench.symbols.table import SymbolTable, one_per_start

_BINDING_RANK = {STB_GLOBAL: 0, STB_WEAK: 1, STB_LOCAL: 2}
_LABEL_RANK = 8
"""Added for symbols that are not declared to be functions, such as labels of assembly code."""
_MAX_LENGTH = 4096
_LOCAL_LABELS = b".$"
"""First letters of labels that assemblers make; "$x" and "$d" are arm64's mapping symbols."""


def function_symbols(elf: Elf, separate: Elf | None = None) -> SymbolTable:
    """Return the functions of a file.

    Parameters
    ----------
    elf : Elf
        The open file.
    separate : Elf, optional
        Its debug file, see :mod:`workbench.symbols.debug_files`; a damaged one counts for nothing.

    Returns
    -------
    SymbolTable
        Addresses are those of the file's own virtual address space. Of several names of one
        address a global one wins over a weak over a local one, then the shortest, then the
        first. A function without a size (assembly) reaches to the next symbol or the end of its
        section, but in ``.dynsym``, where the next function may be missing, it is its first
        byte only; beyond a function's end there is no symbol.

    Raises
    ------
    ObjectFormatError
        The symbol table is malformed.
    """
    stubs = plt_symbols(elf)
    found = _Functions(elf.symbols(SHT_SYMTAB), elf)
    if not len(found.table) and separate is not None:
        found = _of_helper(separate)
    if len(found.table):
        return _table([found], elf, stubs, complete=True)
    dynamic = _Functions(elf.symbols(SHT_DYNSYM), elf)
    mini = mini_debuginfo(elf)
    if mini is not None:
        with mini:
            found = _of_helper(mini)
    if not len(found.table):
        return _table([dynamic], elf, stubs | loop_symbols(elf), complete=False)
    # It holds what .dynsym does not hold.
    return _table([found, dynamic], elf, stubs, complete=True)


class _Functions:
    """The functions among the symbols of a file.

    Attributes
    ----------
    table : numpy.ndarray
        Rows of the symbol table.
    strings : bytes
        Their names.
    """

    def __init__(self, symbols: Symbols, elf: Elf) -> None:
        strings = np.frombuffer(symbols.strings + b"\0", np.uint8)
        self.table = symbols.table[_is_function(symbols, elf.section_list, strings)]
        self.strings = symbols.strings
        starts = self.table["name"].astype(np.int64)
        terminators = np.flatnonzero(strings == 0)
        ends = terminators[np.searchsorted(terminators, starts)]
        self.names = starts, np.minimum(ends, starts + _MAX_LENGTH)


def _of_helper(elf: Elf) -> _Functions:
    try:
        return _Functions(elf.symbols(SHT_SYMTAB), elf)
    except ObjectFormatError:
        return _Functions(Symbols(), elf)


def _table(
    parts: list[_Functions], elf: Elf, stubs: dict[int, tuple[int, str]], *, complete: bool
) -> SymbolTable:
    """Make the sorted table of symbol tables' functions and of PLT stubs."""
    table = np.concatenate([part.table for part in parts])
    starts, sizes, ranks = table["value"], table["size"], _ranks(table)
    blob = b"".join(part.strings for part in parts)
    sizes_of = np.array([len(part.strings) for part in parts], np.int64)
    shifts = np.repeat(np.cumsum(sizes_of) - sizes_of, [len(part.table) for part in parts])
    name_starts = np.concatenate([part.names[0] for part in parts]) + shifts
    name_ends = np.concatenate([part.names[1] for part in parts]) + shifts
    if stubs:
        blob, extra = _append_stubs(blob, stubs)
        starts, sizes = np.r_[starts, extra[0]], np.r_[sizes, extra[1]]
        ranks = np.r_[ranks, np.zeros(len(stubs), ranks.dtype)]
        name_starts, name_ends = np.r_[name_starts, extra[2]], np.r_[name_ends, extra[3]]
    chosen = one_per_start(starts, ranks, name_starts, name_ends, blob)
    starts, sizes = starts[chosen], sizes[chosen]
    ends = _ends(starts, sizes, elf) if complete else _ends_alone(starts, sizes)
    return SymbolTable(starts, ends, name_starts[chosen], name_ends[chosen], blob, _readable)


def _is_function(
    symbols: Symbols, sections: tuple[Section, ...], strings: NDArray[np.uint8]
) -> NDArray[np.bool_]:
    """Return which symbols name code: functions, and labels in executable sections."""
    table = symbols.table
    kinds = table["info"] & 0xF
    executable = np.zeros(1 << 16, np.bool_)
    executable[[section.index for section in sections if section.executable]] = True
    named = (table["name"] > 0) & (table["name"] < len(strings) - 1) & (table["shndx"] > 0)
    first = strings[np.where(named, table["name"], 0)]
    labels = (kinds == STT_NOTYPE) & executable[table["shndx"]]
    labels &= ~np.isin(first, np.frombuffer(_LOCAL_LABELS, np.uint8))
    functions = (kinds == STT_FUNC) | (kinds == STT_GNU_IFUNC)
    chosen: NDArray[np.bool_] = named & (first != 0) & (functions | labels)
    return chosen


def _ranks(table: NDArray[np.void]) -> NDArray[np.uint8]:
    """Return the rank of each symbol among those of its address; the lowest wins."""
    by_binding = np.full(16, 3, np.uint8)
    for binding, rank in _BINDING_RANK.items():
        by_binding[binding] = rank
    ranks: NDArray[np.uint8] = by_binding[table["info"] >> 4]
    ranks[(table["info"] & 0xF) == STT_NOTYPE] += _LABEL_RANK
    # A size says where the function ends: an alias that has one knows more.
    ranks[table["size"] == 0] += 2 * _LABEL_RANK
    return ranks


def _append_stubs(
    blob: bytes, stubs: dict[int, tuple[int, str]]
) -> tuple[bytes, tuple[NDArray[Any], ...]]:
    """Return the blob with the stubs' names, and their starts, sizes, and name places."""
    names = [name.encode() for _, name in stubs.values()]
    lengths = np.array([len(name) for name in names], np.int64)
    name_ends = len(blob) + np.cumsum(lengths)
    sizes = np.array([size for size, _ in stubs.values()], np.uint64)
    starts = np.array(list(stubs), np.uint64)
    return blob + b"".join(names), (starts, sizes, name_ends - lengths, name_ends)


def _ends(starts: NDArray[np.uint64], sizes: NDArray[np.uint64], elf: Elf) -> NDArray[np.uint64]:
    """Return where functions end; those without a size reach to the next one."""
    most = np.iinfo(np.uint64).max
    ends = starts + np.minimum(sizes, most - starts)
    if not len(starts):
        return ends
    bounds = sorted({s.addr + s.size for s in elf.section_list if s.executable})
    limits = np.array([bound for bound in bounds if bound <= most] + [most], np.uint64)
    section_ends = limits[np.searchsorted(limits[:-1], starts, "right")]
    following = np.r_[starts[1:], section_ends[-1:]]
    open_ends = np.minimum(section_ends, following)
    return np.where(sizes == 0, open_ends, ends)


def _ends_alone(starts: NDArray[np.uint64], sizes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return where functions end; those without a size are their first byte only."""
    sizes = np.maximum(sizes, np.uint64(1))
    ends: NDArray[np.uint64] = starts + np.minimum(sizes, np.iinfo(np.uint64).max - starts)
    return ends


def _readable(name: bytes) -> str:
    """Return the name that people see: without the symbol's version, demangled."""
    text = name.decode("utf-8", "replace")
    bare, _, version = text.partition("@")
    return demangled(text if version == "plt" else bare)
