"""Rows of the table ``memory`` that count for a question: allocations with their ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.errors import ParameterError
from workbench.frames.needs import need

if TYPE_CHECKING:
    import polars as pl

    from workbench.recording import Recording

EVENTS = "memory"
BLOCK = ("pid", "address", "born")
"""What tells an allocation: addresses are used again."""
WEIGHTS = {"size": "alloc", "live": "alloc", "mapped": "map", "faults": "fault"}
"""Of which rows the sizes are summed; "live" takes those that were not freed."""
MEANINGS = {
    "size": "bytes allocated",
    "live": "bytes that were not freed",
    "mapped": "bytes mapped",
    "faults": "bytes touched for the first time",
}
"""The same for people."""


def events(rec: Recording, op: str, *columns: str) -> pl.LazyFrame:
    """Return the rows of one of :data:`workbench.event_texts.MEMORY_OPS`.

    Raises
    ------
    MissingTableError
        The session holds no memory events.
    """
    import polars as pl

    rows = need(rec, EVENTS, "op", *columns).with_columns(pl.col("op").cast(pl.String))
    return rows.filter(pl.col("op") == op)


def with_ends(rec: Recording, *columns: str, share: tuple[int, int] = (0, 1)) -> pl.LazyFrame:
    """Return the allocations, with ``freed``: when each was freed, null if it was not.

    Parameters
    ----------
    rec : Recording
    *columns : str
        More columns to take.
    share : (int, int)
        (i, n): only those of the i-th of n shares of all addresses, from 0. To find the ends of a
        share takes an n-th of the memory.

    Raises
    ------
    MissingTableError
    """
    import polars as pl

    wanted = tuple(dict.fromkeys((*BLOCK, *columns)))
    number, shares = share
    # Of a hash, as blocks are aligned: to pages, the large ones.
    chosen = pl.lit(True) if shares == 1 else pl.col("address").hash() % shares == number
    ends = events(rec, "free", *BLOCK, "ts").filter(chosen)
    ends = ends.select(*BLOCK, pl.col("ts").alias("freed"))
    return events(rec, "alloc", *wanted).filter(chosen).join(ends, on=BLOCK, how="left")


def weighed(rec: Recording, weight: str, *columns: str) -> pl.LazyFrame:
    """Return the rows whose ``size`` makes a weight of :data:`WEIGHTS`, with more columns.

    Raises
    ------
    MissingTableError, ParameterError
    """
    import polars as pl

    if weight not in WEIGHTS:
        raise ParameterError(
            f"Memory cannot be summed by {weight!r}.", advice=f"Use any of: {', '.join(WEIGHTS)}."
        )
    if weight == "live":
        return with_ends(rec, "size", *columns).filter(pl.col("freed").is_null())
    return events(rec, WEIGHTS[weight], "size", *columns)
