"""How many events a second there were, over the whole session: counters for timelines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from workbench.frames.needs import need
from workbench.frames.stacks import COUNT

if TYPE_CHECKING:
    from workbench.recording import Recording

SLICES = 500
_SHORTEST = 1_000_000
"""ns of a slice at least."""


def rates(
    rec: Recording, table: str, slices: int = SLICES
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the events of a table per second in each slice of the selected time.

    Parameters
    ----------
    rec : Recording
    table : str
        With ``ts``; rows count as often as their ``weight`` says.
    slices : int
        How many at most; none is shorter than 1 ms.

    Returns
    -------
    numpy.ndarray
        int64, beginning of each slice, ns UTC; they follow each other.
    numpy.ndarray
        float64, events per second.

    Raises
    ------
    MissingTableError
        There is no such table.
    """
    need(rec, table, "ts")
    weighed = COUNT in rec[table].schema.names
    first, last = _ends(rec)
    width = max(_SHORTEST, -(-(last - first) // slices))
    count = max(1, -(-(last - first) // width))
    counts = np.zeros(count, np.int64)
    for batch in rec[table].batches(["ts", *([COUNT] if weighed else [])]):
        at = batch.column("ts").cast("int64").to_numpy(zero_copy_only=False)
        # What lies outside of the session's own times counts at its ends.
        slots = np.clip((at - first) // width, 0, count - 1)
        amounts = batch.column(COUNT).to_numpy(zero_copy_only=False) if weighed else 1
        np.add.at(counts, slots, amounts)
    return first + width * np.arange(count, dtype=np.int64), counts.astype(np.float64) * (
        1e9 / width
    )


def _ends(rec: Recording) -> tuple[int, int]:
    start = rec.manifest.start_ns
    stop = start + int(rec.duration.total_seconds() * 1e9)
    low, high = rec.selection.window or (start, stop)
    return max(start, low), max(min(stop, high), max(start, low) + 1)
