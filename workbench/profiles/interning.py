"""Numbers for frames and stacks, for readers that meet them one line at a time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from workbench.errors import ImportFormatError
from workbench.profiles.tables import MAX_DEPTH, stacks_table
from workbench.symbols.frame_table import Frame, FrameTable

MAX_ENTRIES = 1 << 28
"""Frames of all stacks together: 1 GiB as numbers."""


class Stacks:
    """Frames and stacks by what they are: each gets a number once.

    Meant for formats that name a stack once for many samples, or are text: one call for each
    *distinct* stack costs little beside reading it.
    """

    def __init__(self) -> None:
        self._frames = FrameTable()
        self._ids: dict[tuple[int, ...], int] = {}
        self._entries = 0

    def frame(
        self,
        function: str,
        *,
        module: str = "",
        kind: str = "unknown",
        file: str | None = None,
        line: int | None = None,
        offset: int = 0,
        build_id: str = "",
    ) -> int:
        """Return the number of a frame.

        Parameters
        ----------
        function : str
            Its name, or a text in brackets where it is not known.
        module, build_id : str
            Path of the ELF file, ``[kernel]``, or "" where it is not known, and its build id.
        kind : str
            One of :data:`workbench.schema.FRAME_KINDS`.
        file, line
            Source, where it is known.
        offset : int
            Address in the module; absolute where that is not known.
        """
        number = line if line is not None and 0 < line < 1 << 32 else None
        place = offset & ((1 << 64) - 1)
        one = Frame(function, module, build_id, place, kind, file or None, number)
        return self._frames.intern(one, one)

    def stack(self, frames: Sequence[int]) -> int:
        """Return the number of a stack.

        Parameters
        ----------
        frames : sequence of int
            Numbers of its frames, **leaf first**; may be empty.

        Raises
        ------
        ImportFormatError
            It is deeper than a session holds, or there are too many.
        """
        key = tuple(frames)
        number = self._ids.get(key)
        if number is None:
            self._entries += len(key)
            if len(key) > MAX_DEPTH or self._entries > MAX_ENTRIES:
                raise ImportFormatError(
                    "The file has more stack frames than can be imported.",
                    why=f"At most {MAX_DEPTH:,} a stack and {MAX_ENTRIES:,} in all are.",
                )
            number = self._ids[key] = len(self._ids)
        return number

    def frames_table(self) -> Any:
        """Return the frames as a pyarrow Table; to be called once, at the end."""
        import pyarrow as pa

        return pa.Table.from_batches([self._frames.take()])

    def stacks_table(self) -> Any:
        """Return the stacks as a pyarrow Table."""
        lengths = np.fromiter(map(len, self._ids), np.int64, len(self._ids))
        flat = np.fromiter(chain.from_iterable(self._ids), np.uint32, int(lengths.sum()))
        return stacks_table(flat, np.concatenate([[0], np.cumsum(lengths)]))
