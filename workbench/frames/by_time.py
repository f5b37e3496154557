"""Rows in the order of time, in parts of bounded size.

Several CPUs write a session: its rows are in order only more or less. It is read once to find
windows of time with few enough rows, and once window by window. Memory goes by :data:`ROWS`, not by
the rows of the session.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

Window = tuple[int | None, int | None]
"""Times in ns UTC, start <= ts < stop; None leaves that end open."""

Scan = Callable[[Window | None], Iterator["pl.DataFrame"]]
"""Yields rows with ``ts`` (i64): those of a window, or all. Their other columns may differ."""

ROWS = 1 << 18
"""Rows that are held at once, about."""
_SLOTS = 1 << 16
"""Slices of time by which windows are found."""
_LAST = (1 << 63) - 1


def by_time(scan: Scan, limit: int = ROWS) -> Iterator[pl.DataFrame]:
    """Yield rows sorted by ``ts``; those of one time keep their order.

    Parameters
    ----------
    scan : callable
        See :data:`Scan`.
    limit : int
        Rows of a part. More are, where so many have nearly the same time.
    """
    import polars as pl

    held: list[pl.DataFrame] = []
    rows, low, high = 0, _LAST, -_LAST
    for frame in scan(None):
        rows += len(frame)
        if rows <= limit:
            held.append(frame)
        else:
            held.clear()
        times = frame["ts"].to_numpy()
        if len(times):
            low, high = min(low, int(times.min())), max(high, int(times.max()))
    if held:
        yield pl.concat(held, how="diagonal").sort("ts", maintain_order=True)
    if rows <= limit:
        return
    for window in _windows(scan, low, high, limit):
        found = list(scan(window))
        if found:
            yield pl.concat(found, how="diagonal").sort("ts", maintain_order=True)


def _windows(scan: Scan, low: int, high: int, limit: int) -> list[Window]:
    """Return windows that follow each other, each with at most so many rows."""
    width = (high - low) // _SLOTS + 1
    counts: NDArray[np.int64] = np.zeros(_SLOTS, np.int64)
    for frame in scan(None):
        slots = (frame["ts"].to_numpy() - low) // width
        counts += np.bincount(slots, minlength=_SLOTS)
    starts: list[int | None] = [None]
    held = 0
    for slot, count in enumerate(counts.tolist()):
        if held and count and held + count > limit:
            starts.append(low + slot * width)
            held = 0
        held += count
    return list(zip(starts, [*starts[1:], None], strict=True))
