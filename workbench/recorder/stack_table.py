"""Numbers stacks: the table ``stacks``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.schema import STACKS, arrow_schema

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Odd constants of splitmix64 (Steele, Lea, Flood 2014) seed two independent polynomial hashes;
# two stacks of a session with equal 128 bits are not to be expected before 10^19 stacks.
_SEEDS = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9)
MAX_FRAMES = 1 << 10


def _coefficients(seed: int) -> NDArray[np.uint64]:
    with np.errstate(over="ignore"):
        return np.cumprod(np.full(MAX_FRAMES, seed, np.uint64), dtype=np.uint64)


_COEFFICIENTS = tuple(_coefficients(seed) for seed in _SEEDS)


class StackTable:
    """Numbers stacks: equal lists of frames have equal numbers."""

    def __init__(self) -> None:
        self._ids: dict[tuple[int, int], int] = {}
        self._new: list[NDArray[np.uint32]] = []
        self._given = 0

    def ids(self, frames: NDArray[np.uint32], depths: NDArray[np.int64]) -> NDArray[np.uint32]:
        """Return the stack id of each record.

        Parameters
        ----------
        frames : uint32 array
            Frames of all stacks in a row.
        depths : int64 array
            Frames of each stack.
        """
        starts = np.cumsum(depths) - depths
        keys = np.stack([self._hash(frames, depths, starts, c) for c in _COEFFICIENTS], axis=1)
        unique, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
        numbers = np.empty(len(unique), np.uint32)
        for i, (one, two) in enumerate(unique.tolist()):
            if (one, two) not in self._ids:
                self._ids[one, two] = len(self._ids)
                at = first[i]
                self._new.append(frames[starts[at] : starts[at] + depths[at]].copy())
            numbers[i] = self._ids[one, two]
        return numbers[inverse.reshape(-1)]

    @staticmethod
    def _hash(
        frames: NDArray[np.uint32],
        depths: NDArray[np.int64],
        starts: NDArray[np.int64],
        coefficients: NDArray[np.uint64],
    ) -> NDArray[np.uint64]:
        position = np.arange(len(frames)) - np.repeat(starts, depths)
        terms = (frames.astype(np.uint64) + np.uint64(1)) * coefficients[position % MAX_FRAMES]
        sums = np.zeros(len(frames) + 1, np.uint64)
        np.cumsum(terms, out=sums[1:])
        hashes: NDArray[np.uint64] = sums[starts + depths] - sums[starts]
        return hashes

    def take(self) -> Any:
        """Return the new stacks as a record batch, or None."""
        import pyarrow as pa

        if not self._new:
            return None
        numbers = np.arange(self._given, self._given + len(self._new), dtype=np.uint32)
        offsets = np.cumsum([0, *(len(f) for f in self._new)], dtype=np.int32)
        flat = np.concatenate(self._new).astype(np.uint32)
        lists = pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat))
        self._given += len(self._new)
        self._new = []
        return pa.RecordBatch.from_arrays([pa.array(numbers), lists], schema=arrow_schema(STACKS))
