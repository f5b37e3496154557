"""Numbers for lists and texts: what is equal gets one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_TABLE = 1 << 16
"""Numbers below this are always looked up in a table."""


def number_lists(
    flat: NDArray[Any], offsets: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number lists of numbers: equal lists have equal numbers, in the order of first appearance.

    Parameters
    ----------
    flat : numpy.ndarray
        Numbers of all lists, not negative and below 2**32.
    offsets : numpy.ndarray
        int64: list ``i`` is ``flat[offsets[i]:offsets[i + 1]]``.

    Returns
    -------
    numpy.ndarray
        int64, the number of each list.
    numpy.ndarray
        int64, of each number a list that has it: the first.
    """
    lengths = np.diff(offsets)
    size = int(flat.max(initial=0)) + 2
    # Lists are numbered by their first entry, then by that number and the second one, ...: pairs
    # stay below (entries + lists) * size, far from 2**63. What is alone already needs no more.
    keys = np.zeros(len(lengths), np.int64)
    given, rows, depth = 1, np.flatnonzero(lengths), 0
    while len(rows):
        pairs = keys[rows] * size + flat[offsets[rows] + depth].astype(np.int64) + 1
        inverse, count = _ranked(pairs)
        keys[rows] = given + inverse
        given += count
        depth += 1
        shared = np.bincount(inverse, minlength=count)[inverse] > 1
        rows = rows[shared & (lengths[rows] > depth)]
    first = np.full(given, len(keys))
    first[keys[::-1]] = np.arange(len(keys) - 1, -1, -1)  # the last one that is written stays
    order = np.argsort(first, kind="stable")
    order = order[first[order] < len(keys)]
    rank = np.zeros(given, np.int64)
    rank[order] = np.arange(len(order))
    return rank[keys], first[order]


def _ranked(values: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    """Return the rank of each number among the distinct ones, and how many these are."""
    top = int(values.max(initial=0))
    if top < _TABLE or top < 4 * len(values):  # faster than to sort
        there = np.zeros(top + 1, np.bool_)
        there[values] = True
        rank = np.cumsum(there) - 1
        return rank[values], int(rank[-1]) + 1
    unique, inverse = np.unique(values, return_inverse=True)
    return inverse, len(unique)


class Strings:
    """The table of strings of a profile; number 0 is ``""``."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {"": 0}

    def of(self, text: str) -> int:
        """Return the number of a text."""
        return self._numbers.setdefault(text, len(self._numbers))

    def column(self, texts: Any) -> NDArray[np.int64]:
        """Return the numbers of a pyarrow array of texts; null counts as ``""``."""
        import pyarrow as pa

        encoded = texts if pa.types.is_dictionary(texts.type) else texts.dictionary_encode()
        if isinstance(encoded, pa.ChunkedArray):
            encoded = encoded.combine_chunks()
        codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        distinct = encoded.dictionary.to_pylist()
        # Only those that are used, in their order: the same rows give the same table.
        used, first = np.unique(codes, return_index=True)
        numbers = np.zeros(len(distinct) + 1, np.int64)
        for code in used[np.argsort(first)].tolist():
            numbers[code] = self.of(distinct[code] or "") if code >= 0 else 0
        result: NDArray[np.int64] = numbers[codes]
        return result

    def all(self) -> list[str]:
        """Return the texts by their number."""
        return list(self._numbers)
