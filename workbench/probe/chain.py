"""Which words of a buffer are record headers: found for all records at once.

A buffer of records with varying sizes can only be read by following lengths from header to
header. Done one by one in Python that costs more than the rest of the drain, so:

1. If all headers along the stride of the first record carry its length, that is the answer.
2. Else take as candidates all words that could be headers. If each candidate's length leads
   exactly to the next candidate, all of them are headers.
3. Else follow all candidates at once by pointer doubling: O(n log n) vectorised steps.

A chain always starts at a true header, so record contents that look like headers can add
candidates, but never a wrong record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def follow(
    candidates: NDArray[np.int64], following: NDArray[np.int64], end: int
) -> tuple[NDArray[np.int64], bool]:
    """Follow the chain of headers that starts at the first candidate.

    Parameters
    ----------
    candidates : int64 array
        Sorted word indices that may be headers; the first one is a header.
    following : int64 array
        For each candidate the word index behind its record.
    end : int
        Word index where the data end.

    Returns
    -------
    chain : int64 array
        Positions in ``candidates`` of the true headers.
    complete : bool
        The chain ends exactly at ``end``.
    """
    n = len(candidates)
    if n == 0:
        return np.empty(0, np.int64), end == 0
    if following[-1] == end and np.array_equal(following[:-1], candidates[1:]):
        return np.arange(n), True
    jump = np.searchsorted(candidates, following)
    linked = jump < n
    linked[linked] = candidates[jump[linked]] == following[linked]
    jump = np.where(linked, jump, n)
    jump = np.append(jump, n)  # n: the chain has ended
    chain = np.zeros(1, np.int64)
    while True:
        more = jump[chain]
        more = more[more < n]
        if not len(more):
            break
        chain = np.concatenate([chain, more])
        jump = jump[jump]
    chain = np.sort(chain)
    return chain, bool(following[chain[-1]] == end)


def equal_stride(words32: NDArray[np.uint32], step: int) -> int:
    """Count the headers from the start whose low word equals the first one's.

    Parameters
    ----------
    words32 : uint32 array
        The data; headers lie at multiples of ``step`` words.
    """
    heads = words32[::step]
    same = heads == heads[0]
    return len(same) if same.all() else int(same.argmin())
