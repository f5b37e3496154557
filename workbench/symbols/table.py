"""Named address ranges, sorted: from addresses to names by binary search.

The kernel's symbols, ELF files and JIT maps all end in a :class:`SymbolTable`. Names stay bytes in
one blob and become text only when they are looked up: node has 110,000 symbols and a profile meets
a few hundred.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_NESTING = 64
"""How many ranges inside others are passed on the way to the one around an address."""

NO_SYMBOL = -1


class SymbolTable:
    """Ranges of addresses with names.

    Parameters
    ----------
    starts, ends : numpy.ndarray of uint64
        Ranges ``[start, end)``, sorted by start, one per start.
    name_starts, name_ends : numpy.ndarray of int64
        Where each name lies in `blob`.
    blob : bytes
        All names.
    decode : callable, optional
        Makes the text of a name; replaces undecodable bytes unless given.
    """

    def __init__(
        self,
        starts: NDArray[np.uint64],
        ends: NDArray[np.uint64],
        name_starts: NDArray[np.int64],
        name_ends: NDArray[np.int64],
        blob: bytes,
        decode: Callable[[bytes], str] | None = None,
    ) -> None:
        self.starts = starts
        self.ends = ends
        self._name_starts = name_starts
        self._name_ends = name_ends
        self._blob = blob
        self._decode = decode or _text
        self._names: dict[int, str] = {}
        # Whether some range reaches beyond the start of a later one.
        self._furthest = np.maximum.accumulate(ends) if len(ends) else ends

    def __len__(self) -> int:
        return len(self.starts)

    @classmethod
    def empty(cls) -> SymbolTable:
        """Return a table without symbols."""
        none, places = np.zeros(0, np.uint64), np.zeros(0, np.int64)
        return cls(none, none, places, places, b"")

    def lookup(self, addresses: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Return the index of the innermost range around each address.

        Parameters
        ----------
        addresses : numpy.ndarray of uint64
            In any order.

        Returns
        -------
        numpy.ndarray of int64
            Of the same length; :data:`NO_SYMBOL` where no range covers the address.
        """
        if not len(self.starts):
            return np.full(len(addresses), NO_SYMBOL, np.int64)
        addresses = np.asarray(addresses, np.uint64)
        index = np.searchsorted(self.starts, addresses, "right").astype(np.int64) - 1
        open_ = np.flatnonzero(index >= 0)
        open_ = open_[self.ends[index[open_]] <= addresses[open_]]
        for _ in range(MAX_NESTING):
            if not len(open_):
                return index
            # Beyond the end of this range: perhaps an earlier one is around both.
            index[open_] -= 1
            open_ = open_[index[open_] >= 0]
            around = self._furthest[index[open_]] > addresses[open_]
            index[open_[~around]] = NO_SYMBOL
            open_ = open_[around]
            open_ = open_[self.ends[index[open_]] <= addresses[open_]]
        index[open_] = NO_SYMBOL
        return index

    def name(self, index: int) -> str:
        """Return the name of range `index`."""
        name = self._names.get(index)
        if name is None:
            name = self._decode(self.raw_name(index))
            self._names[index] = name
        return name

    def raw_name(self, index: int) -> bytes:
        """Return the name of range `index` as it was given."""
        return self._blob[int(self._name_starts[index]) : int(self._name_ends[index])]


def one_per_start(
    starts: NDArray[np.uint64],
    ranks: NDArray[Any],
    name_starts: NDArray[np.int64],
    name_ends: NDArray[np.int64],
    blob: bytes,
) -> NDArray[np.int64]:
    """Choose among aliases: one symbol per address, always the same.

    Parameters
    ----------
    starts : numpy.ndarray of uint64
        Addresses in any order.
    ranks : numpy.ndarray of int
        The lowest wins.
    name_starts, name_ends : numpy.ndarray of int64
        Where the names lie in `blob`; of one rank the shortest wins, then the first in the order
        of bytes.
    blob : bytes
        All names.

    Returns
    -------
    numpy.ndarray of int64
        Indices of the chosen symbols, sorted by address.
    """
    lengths = name_ends - name_starts
    order = np.lexsort((lengths, ranks, starts))
    if not len(order):
        return order
    sorted_starts = starts[order]
    first = np.flatnonzero(np.r_[True, sorted_starts[1:] != sorted_starts[:-1]])
    chosen = order[first]
    groups = np.r_[first[1:], len(order)] - first
    for group in np.flatnonzero(groups > 1).tolist():
        members = order[first[group] : first[group] + groups[group]]
        best = members[0]
        equal = members[(ranks[members] == ranks[best]) & (lengths[members] == lengths[best])]
        if len(equal) > 1:
            names = [blob[name_starts[i] : name_ends[i]] for i in equal.tolist()]
            chosen[group] = equal[names.index(min(names))]
    return chosen


def _text(name: bytes) -> str:
    return name.decode("utf-8", "replace")
