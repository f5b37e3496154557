"""Which processes and threads a session has: what a part of it can be chosen by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.formats.format import event_tables
from workbench.table import collected

if TYPE_CHECKING:
    from workbench.recording import Recording

MOST = 500
"""Longer lists are of no use to people, and slow in browsers."""


@dataclass(frozen=True)
class Choices:
    """What can be chosen, the busiest first.

    Parameters
    ----------
    pids : tuple of (str, str)
        Process with its usual name, and its number.
    comms : tuple of str
        Names of threads.
    """

    pids: tuple[tuple[str, str], ...]
    comms: tuple[str, ...]


def choices(rec: Recording) -> Choices:
    """Return the processes and names of threads of all events, at most :data:`MOST` of each.

    Parameters
    ----------
    rec : Recording
        Its selection is honoured.
    """
    import polars as pl

    frames = [
        rec[name]
        .lazy()
        .group_by(pl.col("pid"), pl.col("comm").cast(pl.String))
        .agg(pl.len().alias("events"))
        for name in event_tables(rec)
        if {"pid", "comm"} <= set(rec[name].schema.names)
    ]
    if not frames:
        return Choices((), ())
    rows = collected(pl.concat(frames, how="vertical_relaxed")).drop_nulls()
    sums = rows.group_by("pid", "comm").agg(pl.col("events").sum())
    sums = sums.sort("events", "pid", "comm", descending=[True, False, False])
    named = sums.group_by("pid", maintain_order=True).agg(
        pl.col("comm").first(), pl.col("events").sum()
    )
    pids = named.sort("events", "pid", descending=[True, False]).head(MOST)
    comms = sums.group_by("comm").agg(pl.col("events").sum())
    comms = comms.sort("events", "comm", descending=[True, False]).head(MOST)
    return Choices(
        tuple((f"{pid}  {comm}".rstrip(), str(pid)) for pid, comm, _ in pids.iter_rows()),
        tuple(comms["comm"]),
    )
