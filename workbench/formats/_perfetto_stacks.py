"""The stacks of a session as Perfetto's interned data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from workbench.formats._packets import number, text
from workbench.frames.samples import named_stacks, used_frames
from workbench.table import collected

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    from workbench.recording import Recording

_KINDS = {"native": 1, "inlined": 1, "kernel": 2, "python": 3, "jit": 4}
"""``Frame.Kind``: native, kernel, interpreted, JIT; 0 is unknown."""
_AT_ONCE = 1000
"""Stacks in a packet: Perfetto reads packets whole."""


class Stacks:
    """The stacks that tables name.

    Parameters
    ----------
    rec : Recording
    tables : sequence of str
        Tables with a ``stack_id``.

    Attributes
    ----------
    in_kernel : numpy.ndarray
        bool, whether the stack with this number ends in the kernel.
    """

    def __init__(self, rec: Recording, tables: Sequence[str]) -> None:
        import polars as pl

        ids = [
            collected(rec[name].lazy().select(pl.col("stack_id").unique()), streaming=True)
            for name in tables
        ]
        empty = pl.DataFrame(schema={"stack_id": pl.UInt32})
        self._ids = pl.concat([empty, *ids]).to_series().unique().sort()
        self.in_kernel = np.zeros(1, bool)
        if not tables:
            return
        frames, flat, self._offsets, row = named_stacks(rec, self._ids)
        self._frames, self._flat = used_frames(frames, flat)
        self._numbers = pl.DataFrame({"stack_id": self._ids, "number": row + 1})
        leaf = self._offsets[:-1][np.diff(self._offsets) > 0]
        kernel = (self._frames["kind"] == "kernel").to_numpy()
        self.in_kernel = np.zeros(len(self._offsets), bool)
        self.in_kernel[1:][np.diff(self._offsets) > 0] = kernel[self._flat[leaf]]

    def numbers(self, ids: pl.Series) -> NDArray[np.int64]:
        """Return the interned number of the stack of each id."""
        rows = ids.rename("stack_id").to_frame()
        found = rows.join(
            self._numbers, on="stack_id", how="left", maintain_order="left", nulls_equal=True
        )
        return found["number"].to_numpy()

    def packets(self) -> Iterator[bytes]:
        """Yield ``InternedData``: functions and modules, frames, then stacks."""
        if not len(self._ids):
            return
        frames = self._frames
        yield b"".join(
            [
                *_texts(5, frames["name"]),
                *_texts(17, _modules(frames)),
                *_texts(18, frames["file"].drop_nulls()),
            ]
        )
        modules = _numbered(_modules(frames))
        yield b"".join(text(19, number(1, iid) + number(7, iid)) for iid in modules.values())
        entries = self._frame_entries(modules)
        for at in range(0, len(entries), _AT_ONCE):
            yield b"".join(entries[at : at + _AT_ONCE])
        stacks = [
            text(7, number(1, index + 1) + b"".join(number(2, 1 + int(f)) for f in rooted))
            for index, rooted in enumerate(self._rooted())
        ]
        for at in range(0, len(stacks), _AT_ONCE):
            yield b"".join(stacks[at : at + _AT_ONCE])

    def _rooted(self) -> Iterator[NDArray[np.int64]]:
        """Yield the frames of each stack, root first."""
        for start, stop in zip(self._offsets[:-1], self._offsets[1:], strict=True):
            yield self._flat[start:stop][::-1]

    def _frame_entries(self, modules: dict[str, int]) -> list[bytes]:
        names, files = _numbered(self._frames["name"]), _numbered(self._frames["file"].drop_nulls())
        columns = (self._frames["name"], _modules(self._frames), self._frames["kind"])
        places = (self._frames["file"], self._frames["line"])
        return [
            text(
                6,
                number(1, index)
                + number(2, names[name])
                + number(3, modules[module])
                + (number(5, files[file]) if file else b"")
                + (number(6, line) if line else b"")
                + number(7, _KINDS.get(kind, 0)),
            )
            for index, (name, module, kind, file, line) in enumerate(
                zip(*columns, *places, strict=True), 1
            )
        ]


def _modules(frames: pl.DataFrame) -> pl.Series:
    """Return the modules as Perfetto has them: it puts a slash before each."""
    return frames["module"].replace("", "[unknown]").str.strip_prefix("/")


def _numbered(values: pl.Series) -> dict[str, int]:
    return {value: iid for iid, value in enumerate(values.unique().sort(), 1)}


def _texts(field: int, values: pl.Series) -> Iterator[bytes]:
    for value, iid in _numbered(values).items():
        yield text(field, number(1, iid) + text(2, value))
