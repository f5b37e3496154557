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
    import pyarrow as pa

    # As bytes they are what Arrow's dictionaries number in one pass, by hash.
    data = np.ascontiguousarray(flat, np.uint32)
    ends = np.ascontiguousarray(offsets, np.int64) * data.itemsize
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(data)]
    lists = pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(ends) - 1, buffers)
    number = lists.dictionary_encode().indices.to_numpy().astype(np.int64)
    return number, first_rows(number)


def first_rows(number: NDArray[Any], absent: int = 0) -> NDArray[np.int64]:
    """Return of each number up to the largest the first row that has it, else `absent`."""
    first = np.full(int(number.max(initial=-1)) + 1, absent)
    first[number[::-1]] = np.arange(len(number) - 1, -1, -1)  # what is written last stays
    return first


def ranked(keys: NDArray[Any]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Number keys in the order of their first appearance.

    Parameters
    ----------
    keys : numpy.ndarray
        Not negative, and not much larger than there are different ones.

    Returns
    -------
    numpy.ndarray
        int32, the number of each key.
    numpy.ndarray
        int64, of each number the first key that has it.
    """
    first = first_rows(keys, len(keys))
    order = np.argsort(first, kind="stable")
    order = order[first[order] < len(keys)]
    rank = np.zeros(len(first), np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    return rank[keys], first[order]


def ranges(starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the numbers of all ranges, one after the other."""
    lengths = ends - starts
    before = np.cumsum(lengths) - lengths
    result: NDArray[np.int64] = np.arange(int(lengths.sum())) + np.repeat(starts - before, lengths)
    return result


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
