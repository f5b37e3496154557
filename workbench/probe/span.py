"""A stretch of records in a buffer, seen without copying them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import BufferFormatError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Span:
    """Records that lie in one piece of memory.

    Valid only until the next step of the drain that gave it: a ring buffer's span is the
    kernel's own memory, which is handed back then.

    Parameters
    ----------
    data : uint8 array
        The memory.
    offsets : int64 array
        Where the payload of each record starts in ``data``.
    lengths : int64 array
        Bytes of each payload.
    step : int
        Distance of the records if it is one for all and their lengths are equal, else 0.
    """

    data: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    lengths: NDArray[np.int64]
    step: int = 0

    def __len__(self) -> int:
        return len(self.offsets)

    def records(self, dtype: np.dtype[Any]) -> NDArray[Any]:
        """View the heads of the records as ``dtype``: strided without a copy where it can be.

        Raises
        ------
        BufferFormatError
            A record is shorter than ``dtype``.
        """
        if not len(self):
            return np.empty(0, dtype)
        shortest = int(self.lengths[0]) if self.step else int(self.lengths.min())
        if shortest < dtype.itemsize:
            raise BufferFormatError(
                f"A record of {shortest} bytes is too short for one of {dtype.itemsize}.",
                advice="The object and its BTF do not fit together: build them again.",
            )
        first = int(self.offsets[0])
        if self.step:
            return np.ndarray((len(self),), dtype, self.data, first, (self.step,))
        sliding = np.ndarray((len(self.data) - dtype.itemsize + 1,), dtype, self.data, 0, (1,))
        return sliding[self.offsets]

    def tails(self, head: int) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """Return what follows the first ``head`` bytes of the records, as 64-bit words.

        Returns
        -------
        words : uint64 array
            The tails of all records in a row.
        counts : int64 array
            Words of each record.
        """
        counts = (self.lengths - head) // 8
        starts = np.repeat(self.offsets + head, counts)
        within = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
        at = starts + 8 * within
        if not len(at):
            return np.empty(0, np.uint64), counts
        sliding = np.ndarray((len(self.data) - 7,), np.uint64, self.data, 0, (1,))
        return sliding[at], counts
