"""Symbols of the kernel, its modules and its BPF programs, from ``/proc/kallsyms``.

A line is ``address type name``, then a tab and ``[module]`` for what does not belong to the core
kernel (``kernel/kallsyms.c``, ``s_show``). Readers without the privilege see every address as zero
(``kallsyms_show_value``: sysctl kernel.kptr_restrict, CAP_SYSLOG). The file has no sizes: a symbol
reaches to the next one, at most :data:`MAX_EXTENT`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workbench.symbols.table import NO_SYMBOL, SymbolTable, one_per_start

KALLSYMS = Path("/proc/kallsyms")

MAX_EXTENT = 1 << 20
"""An address further above the symbol below it belongs to none: the gap between text, data and
modules is larger, and no kernel function is."""

MODULE_KERNEL = "[kernel]"

_ADDRESS_DIGITS = 16
_RANKS = {"T": 0, "W": 1, "V": 1, "t": 2, "w": 2}
_OTHER = 9
_MARKER_RANK = 4
"""Added for labels of sections such as ``__entry_text_start``: a function there is meant."""


@dataclass(frozen=True)
class KernelSymbols:
    """Symbols of the running kernel.

    Parameters
    ----------
    status : str
        "ok"; "hidden": the kernel shows no addresses to this user; "missing": no such file, or
        a malformed one.
    table : SymbolTable
        Symbols of all types: those that are not functions end the function before them.
    code : numpy.ndarray of bool
        Which of them are functions.
    """

    status: str
    table: SymbolTable
    code: NDArray[np.bool_]

    @classmethod
    def load(cls, path: Path = KALLSYMS) -> KernelSymbols:
        """Read the symbols; what cannot be read is told by the status, never raised."""
        try:
            content = path.read_bytes()
        except OSError:
            return cls("missing", SymbolTable.empty(), np.zeros(0, np.bool_))
        return cls.parse(content)

    @classmethod
    def parse(cls, content: bytes) -> KernelSymbols:
        """Make the symbols of the content of a kallsyms file."""
        nothing = SymbolTable.empty(), np.zeros(0, np.bool_)
        data = np.frombuffer(content, np.uint8)
        line_ends = np.flatnonzero(data == ord("\n"))
        line_starts = np.r_[0, line_ends[:-1] + 1] if len(line_ends) else line_ends
        sound = line_ends - line_starts > _ADDRESS_DIGITS + 3
        line_starts, line_ends = line_starts[sound], line_ends[sound]
        sound = data[line_starts + _ADDRESS_DIGITS] == ord(" ")
        line_starts, line_ends = line_starts[sound], line_ends[sound]
        if not len(line_starts):
            return cls("missing", *nothing)
        starts = _hexadecimal(data, line_starts)
        if not starts.any():
            return cls("hidden", *nothing)
        types = data[line_starts + _ADDRESS_DIGITS + 1]
        ranks = np.full(256, _OTHER, np.uint8)
        for letter, rank in _RANKS.items():
            ranks[ord(letter)] = rank
        ranks = ranks[types]
        names = line_starts + _ADDRESS_DIGITS + 3
        code = ranks != _OTHER
        ranks[_markers(data, names, line_ends)] += _MARKER_RANK
        chosen = one_per_start(starts, ranks, names, line_ends, content)
        starts = starts[chosen]
        limit = np.iinfo(np.uint64).max - starts
        ends = starts + np.minimum(limit, np.uint64(MAX_EXTENT))
        ends[:-1] = np.minimum(ends[:-1], starts[1:])
        table = SymbolTable(starts, ends, names[chosen], line_ends[chosen], content)
        return cls("ok", table, code[chosen])

    def lookup(self, addresses: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Return the index of the function at each address.

        Parameters
        ----------
        addresses : numpy.ndarray of uint64
            Absolute addresses.

        Returns
        -------
        numpy.ndarray of int64
            For :meth:`name`; -1 where there is no function.
        """
        index = self.table.lookup(addresses)
        known = index >= 0
        known[known] = self.code[index[known]]
        return np.where(known, index, NO_SYMBOL)

    def name(self, index: int) -> tuple[str, str]:
        """Return the name and the module of a symbol: "[kernel]", or such as "[nf_tables]"."""
        name, _, module = self.table.name(index).partition("\t")
        return name, module.strip() or MODULE_KERNEL


def _hexadecimal(data: NDArray[np.uint8], starts: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return the numbers of 16 hexadecimal digits at `starts`."""
    digit = np.zeros(256, np.uint64)
    for value, letter in enumerate("0123456789abcdef"):
        digit[ord(letter)] = value
    numbers = np.zeros(len(starts), np.uint64)
    for place in range(_ADDRESS_DIGITS):
        numbers = (numbers << np.uint64(4)) | digit[data[starts + place]]
    return numbers


def _markers(
    data: NDArray[np.uint8], names: NDArray[np.int64], ends: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Return which names of the core kernel look like ``_etext``, ``__x_start`` or ``__x_end``."""
    underscored = data[names] == ord("_")
    found = np.zeros(len(names), np.bool_)
    for text in (b"_start", b"_end", b"text"):
        like = underscored & (ends - names >= len(text))
        for place, letter in enumerate(text):
            like[like] = data[ends[like] - len(text) + place] == letter
        found |= like
    return found
