"""Frames get their lines, and stacks the functions that were inlined into others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from workbench.symbols.frame_table import Frame, FrameTable
from workbench.symbols.image import Image
from workbench.symbols.lines import LineReader, Location

INLINED = "[inlined]"
"""Function of an inlined frame whose name is not in the debug file (dwz moved it elsewhere)."""
MAX_WAITING = 1 << 20
"""Frames whose lines were not asked for yet; later ones get none."""

Ids = NDArray[np.uint32]


class Expander:
    """Knows which frames have lines, and reads them when they are asked for.

    Parameters
    ----------
    frames : FrameTable
        Where inlined frames get their numbers, and frames their lines.
    lines : LineReader, optional
        What reads debug information.

    Attributes
    ----------
    inlined : int
        Frames of inlined functions so far.
    """

    def __init__(self, frames: FrameTable, lines: LineReader | None = None) -> None:
        self.lines = lines or LineReader()
        self.inlined = 0
        self._frames = frames
        self._waiting: dict[int, tuple[Frame, Image]] = {}
        self._lists: dict[int, tuple[int, ...]] = {}

    def remember(self, number: int, frame: Frame, image: Image) -> None:
        """Take a new frame of an image."""
        if image.lines >= 0 and len(self._waiting) < MAX_WAITING:
            self._waiting[number] = frame, image

    def expand(self, ids: Ids) -> tuple[Ids, NDArray[np.int64]]:
        """Return the frames with inlined ones; see ``Symbolizer.expand``."""
        unique = np.unique(ids).tolist()
        self._read([number for number in unique if number in self._waiting])
        lists = {number: self._lists[number] for number in unique if number in self._lists}
        return expanded(ids, lists)

    def close(self) -> None:
        """End the process that reads debug information."""
        self.lines.close()

    def _read(self, numbers: list[int]) -> None:
        by_image: dict[Image, list[int]] = {}
        for number in numbers:
            by_image.setdefault(self._waiting[number][1], []).append(number)
        for image, members in by_image.items():
            frames = [self._waiting.pop(number)[0] for number in members]
            if image.lines < 0:
                continue
            addresses = [(frame.offset - image.base) % (1 << 64) for frame in frames]
            found = self.lines.lookup(image.lines, image.build_id, addresses)
            for number, frame, locations in zip(members, frames, found, strict=True):
                self._learn(number, frame, locations)

    def _learn(self, number: int, frame: Frame, locations: tuple[Location, ...]) -> None:
        located = placed(frame, locations)
        if not located:
            return
        self._frames.replace(number, located[-1])
        inner = located[:-1]
        if inner:
            ids = [
                self._frames.intern(("inlined", number, depth), each)
                for depth, each in enumerate(inner)
            ]
            self._lists[number] = (*ids, number)
            self.inlined += len(inner)


def placed(frame: Frame, locations: Sequence[Location]) -> list[Frame]:
    """Return a frame with its line, last, after the ones that are inlined at its address.

    Parameters
    ----------
    frame : Frame
        Of a native function.
    locations : sequence of Location
        Of its address, innermost first.

    Returns
    -------
    list of Frame
        Empty when the locations say nothing. The name in the symbol table stays: it tells the
        parts of a function apart (``main.cold``), and debug information does not.
    """
    if not any(each.file or each.line for each in locations):
        return []
    *inner, outer = locations
    named = not frame.function.startswith("[")
    function = frame.function if named else outer.function or frame.function
    found = [
        frame._replace(
            function=each.function or INLINED,
            kind="inlined",
            file=each.file or None,
            line=each.line or None,
        )
        for each in inner
    ]
    last = frame._replace(function=function, file=outer.file or None, line=outer.line or None)
    return [*found, last]


def expanded(ids: Ids, lists: Mapping[int, Sequence[int]]) -> tuple[Ids, NDArray[np.int64]]:
    """Put lists of frames in the place of frames.

    Parameters
    ----------
    ids : numpy.ndarray of uint32
        Frames.
    lists : mapping of int to sequence of int
        What some of them become; the others stay.

    Returns
    -------
    ids : numpy.ndarray of uint32
    counts : numpy.ndarray of int64
        How many each frame became.
    """
    counts = np.ones(len(ids), np.int64)
    if not lists:
        return ids, counts
    keys = np.array(sorted(lists), np.uint32)
    lengths = np.array([len(lists[key]) for key in keys.tolist()], np.int64)
    flat = np.array([each for key in keys.tolist() for each in lists[key]], np.uint32)
    starts = np.cumsum(lengths) - lengths
    place = np.minimum(np.searchsorted(keys, ids), len(keys) - 1)
    known = keys[place] == ids
    counts[known] = lengths[place[known]]
    first = np.where(known, starts[place], 0)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    member = np.repeat(known, counts)
    result = np.repeat(ids, counts)
    result[member] = flat[(np.repeat(first, counts) + within)[member]]
    return result.astype(np.uint32), counts
