"""Unwind tables → the maps of the BPF side (bpf/unwind.bpf.h)."""

from __future__ import annotations

import os
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.probe.arrays import InnerMaps, create_array

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from workbench.probe.maps import Map
    from workbench.unwind.images import ImageKey

BLOCK_ROWS = 32  # WB_BLOCK_ROWS
MAX_BLOCKS = 1 << 20  # WB_SEARCH_STEPS
PENDING = (1 << 32) - 1  # WB_PENDING
MAX_NUMBER = (1 << 15) - 1  # WB_MAX_IMAGES
IMAGE = np.dtype([("number", "<u4"), ("blocks", "<u4"), ("used", "<u4"), ("pad", "<u4")])
"""``struct wb_image``."""


@dataclass(frozen=True)
class Table:
    """The table of a numbered image.

    Parameters
    ----------
    number : int
        1 to :data:`MAX_NUMBER`.
    key : ImageKey
    rows : uint64 array
        Sorted, see :mod:`workbench.unwind.rows`; empty for a file without a table.
    """

    number: int
    key: ImageKey
    rows: NDArray[np.uint64]


class TableMaps:
    """The maps ``wb_rows`` and ``wb_images`` of a loaded object."""

    def __init__(self, rows: Map, images: Map) -> None:
        self._rows = InnerMaps(rows)
        self._images = images

    @property
    def busy(self) -> bool:
        """Whether a table would have to wait for its place: better to load several together."""
        return self._rows.busy

    def name(self, number: int, key: ImageKey) -> None:
        """Have frames of an image named by its number, before its table is loaded.

        Raises
        ------
        KernelError
            There is no memory.
        """
        self._image(number, key, PENDING)

    def put(self, tables: Sequence[Table]) -> None:
        """Load tables, all together; the BPF side uses them a moment later.

        Raises
        ------
        KernelError
            There is no memory for a table, for instance. None of them is loaded then. What fails
            later, :meth:`finish` tells.
        """
        arrays: dict[int, int] = {}
        counts: list[int] = []
        try:
            for table in tables:
                made = blocks(table.rows)
                counts.append(len(made))
                if len(made):
                    arrays[table.number] = create_array(made)
            # Before the tables: an image whose table is not there yet counts as missing.
            for table, count in zip(tables, counts, strict=True):
                self._image(table.number, table.key, count)
        except BaseException:
            for fd in arrays.values():
                os.close(fd)
            raise
        self._rows.set(arrays)

    def _image(self, number: int, key: ImageKey, count: int) -> None:
        # As if it had just been met: what was loaded last is not to be the first to go again.
        now = time.clock_gettime_ns(time.CLOCK_BOOTTIME) >> 20 & 0xFFFFFFFF
        self._images.update(key.packed(), struct.pack("<IIII", number, count, now, 0))

    def remove(self, tables: Sequence[tuple[int, ImageKey]]) -> None:
        """Take out tables by number and key; walks that use one right now end with it."""
        self.finish()
        for _, key in tables:
            self._images.delete(key.packed())
        self._rows.delete(number for number, _ in tables)
        self.finish()

    def finish(self) -> None:
        """Wait until all that was asked for is done.

        Raises
        ------
        KernelError
            Of what failed first.
        """
        self._rows.finish()

    def close(self) -> None:
        """Wait for what is under way, and change nothing any more. Safe to call twice."""
        self._rows.close()

    def used(self) -> dict[int, int]:
        """Return when each loaded image was last met or loaded, by its number.

        The time is CLOCK_BOOTTIME in units of 2**20 ns, cut to 32 bits (50 days).
        """
        _, values = self._images.items()
        images = np.ascontiguousarray(values).view(IMAGE)[:, 0]
        return dict(zip(images["number"].tolist(), images["used"].tolist(), strict=True))


def blocks(rows: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return rows in blocks of :data:`BLOCK_ROWS`, the last one padded with ones.

    A table of more than 2**25 rows is cut.
    """
    rows = rows[: MAX_BLOCKS * BLOCK_ROWS]
    count = -(-len(rows) // BLOCK_ROWS)
    padded = np.full(count * BLOCK_ROWS, np.uint64(0xFFFFFFFFFFFFFFFF))
    padded[: len(rows)] = rows
    return padded.reshape(count, BLOCK_ROWS)
