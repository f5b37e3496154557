"""Numbers for lists and texts: what is equal gets one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


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
    _, dense = np.unique(flat, return_inverse=True)
    size = int(dense.max(initial=0)) + 2
    # Lists are numbered by their first entry, then by that number and the second one, ...: pairs
    # stay below (entries + lists) * size, far from 2**63.
    keys = np.zeros(len(lengths), np.int64)
    given, rows, depth = 1, np.flatnonzero(lengths), 0
    while len(rows):
        pairs = keys[rows] * size + dense[offsets[rows] + depth] + 1
        unique, inverse = np.unique(pairs, return_inverse=True)
        keys[rows] = given + inverse
        given += len(unique)
        depth += 1
        rows = rows[lengths[rows] > depth]
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return rank[inverse], first[order]


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
