"""Time in slices: sums over time, and heatmaps of durations over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.errors import ParameterError
from workbench.frames.quantiles import bounds, bucket_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl


def sliced(
    events: pl.LazyFrame, count: int, sums: Sequence[pl.Expr], by: Sequence[str] = ()
) -> pl.DataFrame:
    """Return sums per slice of time.

    Parameters
    ----------
    events : polars.LazyFrame
        With ``ts``.
    count : int
        Number of slices of equal length between the first and the last event.
    sums : sequence of polars.Expr
        What to compute of each slice.
    by : sequence of str
        Columns that divide the slices further.

    Returns
    -------
    polars.DataFrame
        ts : datetime[ns, UTC]
            Start of the slice. Slices without an event are left out.
        Then the columns of ``by`` and the sums, sorted by time and by ``by``.

    Raises
    ------
    ParameterError
        ``count`` is not positive.
    """
    import polars as pl

    if count < 1:
        raise ParameterError(f"Cannot divide time into {count} slices.", advice="Use 1 or more.")
    events = events.with_columns(pl.col("ts").cast(pl.Int64))
    first, last = events.select(first=pl.min("ts"), last=pl.max("ts")).collect().row(0)
    width = 1 if first is None else max(1, -(-(last - first + 1) // count))
    start = (first or 0) + (pl.col("ts") - (first or 0)) // width * width
    return (
        events.group_by(start.cast(pl.Datetime("ns", "UTC")).alias("ts"), *by)
        .agg(*sums)
        .sort("ts", *by)
        .collect()
    )


def heatmap(events: pl.LazyFrame, duration: str, count: int) -> pl.DataFrame:
    """Return how many events took how long, over time.

    Parameters
    ----------
    events : polars.LazyFrame
        With ``ts`` and a duration.
    duration : str
        Its column.
    count : int
        Number of slices of time.

    Returns
    -------
    polars.DataFrame
        ts : datetime[ns, UTC]
            Start of the slice.
        low_ns, high_ns : u64
            Durations in [low_ns, high_ns): a power of two.
        count : u64
            Cells without an event are left out.

    Raises
    ------
    ParameterError
        ``count`` is not positive.
    """
    import polars as pl

    bucket = bucket_of(pl.col(duration).cast(pl.Int64)).alias("bucket")
    cells = sliced(
        events.with_columns(bucket), count, [pl.len().cast(pl.UInt64).alias("count")], ["bucket"]
    )
    low, high = bounds(cells["bucket"].to_numpy().astype(np.int64))
    return cells.select(
        "ts", pl.Series("low_ns", low, pl.UInt64), pl.Series("high_ns", high, pl.UInt64), "count"
    )
