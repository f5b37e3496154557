"""Words behind a record with a stack → its kernel, user and Python parts.

The words are described in ``bpf/stack.bpf.h``: kernel addresses, user words, then two words for
each Python frame, each part leaf first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.event_texts import STACK_STATUSES
from workbench.pystacks import STATUSES, chain_statuses

EXACT = np.uint64(1 << 63)  # WB_WORD_EXACT
IMAGE_SHIFT = np.uint64(48)  # WB_WORD_IMAGE_SHIFT
IMAGE_MASK = np.uint64(0x7FFF)
OFFSET_MASK = np.uint64((1 << 48) - 1)  # WB_WORD_OFFSET
_COMPLETE, _TRUNCATED, _INCOMPLETE = (
    STACK_STATUSES.index(name) for name in ("complete", "python_truncated", "python_incomplete")
)


@dataclass(frozen=True)
class Samples:
    """Copied records of one table with their words.

    Parameters
    ----------
    table : str
        Name of the table that gets them.
    make_batch : callable
        (records, stack ids) to the record batch of the samples.
    records : structured array
        With ``pid``, ``cpu``, ``kernel_depth``, ``user_depth`` and ``python_depth``.
    words : uint64 array
        Of all records in a row.
    stacks : int
        Stacks of each event. With two the records come twice, first all with the one stack, then
        all with the other.
    """

    table: str
    make_batch: Callable[[NDArray[Any], NDArray[np.uint32]], Any]
    records: NDArray[Any]
    words: NDArray[np.uint64]
    stacks: int = 1

    @property
    def cpus(self) -> NDArray[np.uint16]:
        """CPU of each event."""
        cpus: NDArray[np.uint16] = self.records["cpu"][: len(self.records) // self.stacks]
        return cpus


@dataclass(frozen=True)
class Parts:
    """The words of many records, by what they mean.

    Parameters
    ----------
    native : uint64 array
        Kernel addresses and user words of all records in a row.
    depths : int64 array
        Native words of each record.
    in_kernel : bool array
        Which native words are kernel addresses.
    python : uint64 array of shape (frames, 2)
        Python frames of all records in a row.
    python_depths : int64 array
        Python frames of each record.
    """

    native: NDArray[np.uint64]
    depths: NDArray[np.int64]
    in_kernel: NDArray[np.bool_]
    python: NDArray[np.uint64]
    python_depths: NDArray[np.int64]

    @property
    def exact(self) -> NDArray[np.bool_]:
        """Which native words are where it was; the others are return addresses."""
        exact: NDArray[np.bool_] = (self.native & EXACT) != 0
        first = np.zeros(len(self.native) + 1, np.bool_)
        first[np.cumsum(self.depths) - self.depths] = True
        # A kernel address has the bit set as well: there the first one is where it was.
        return np.where(self.in_kernel, first[:-1], exact)

    @property
    def images(self) -> NDArray[np.uint16]:
        """Image number of each native word; 0 in the kernel and where it is not known."""
        numbers = (self.native >> IMAGE_SHIFT) & IMAGE_MASK
        return np.where(self.in_kernel, 0, numbers).astype(np.uint16)

    @property
    def offsets(self) -> NDArray[np.uint64]:
        """File offset of each user word, or its address where the image is not known."""
        return np.where(self.in_kernel, self.native, self.native & OFFSET_MASK)


def word_counts(records: NDArray[Any]) -> NDArray[np.int64]:
    """Return how many words each record has."""
    python = records["python_depth"].astype(np.int64) * 2
    counts: NDArray[np.int64] = python + records["kernel_depth"] + records["user_depth"]
    return counts


def add_python_status(records: NDArray[Any], words: NDArray[np.uint64]) -> None:
    """Tell of stacks that reach their root, but lack Python frames, that they do.

    Parameters
    ----------
    records : structured array
        Their ``stack_status`` is changed.
    words : uint64 array
        Of all records in a row.
    """
    ends = np.cumsum(word_counts(records))
    asked = np.flatnonzero((records["python_depth"] > 0) & (records["stack_status"] == _COMPLETE))
    last = ends[asked, None] + np.array([-2, -1])
    why = chain_statuses(words[last])
    truncated = why == STATUSES.index("truncated")
    lacking = np.where(truncated, _TRUNCATED, _INCOMPLETE)
    records["stack_status"][asked[why != 0]] = lacking[why != 0]


def split(samples: Samples) -> Parts:
    """Take the words of samples apart."""
    records = samples.records
    kernel = records["kernel_depth"].astype(np.int64)
    depths = kernel + records["user_depth"]
    counts = word_counts(records)
    position = np.arange(len(samples.words)) - np.repeat(np.cumsum(counts) - counts, counts)
    native = position < np.repeat(depths, counts)
    in_kernel = (position < np.repeat(kernel, counts))[native]
    python = samples.words[~native].reshape(-1, 2)
    python_depths = records["python_depth"].astype(np.int64)
    return Parts(samples.words[native], depths, in_kernel, python, python_depths)
