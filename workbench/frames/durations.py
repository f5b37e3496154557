"""What people ask of a column of durations: how many, how long in all, quantiles, a histogram."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.frames.quantiles import BUCKETS, QUANTILES, bounds, bucket_of, quantile_columns

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray


def figures(column: str, total: str = "total") -> list[pl.Expr]:
    """Return expressions for ``group_by().agg()``: total, p50, p99 and max of a column in ns.

    Parameters
    ----------
    column : str
        Integers, ns; nulls do not count.
    total : str
        Name of the sum.
    """
    import polars as pl

    time = pl.col(column).drop_nulls()
    return [time.sum().alias(total), *quantile_columns(time), time.max().alias("max")]


def in_durations(frame: pl.DataFrame, *columns: str) -> pl.DataFrame:
    """Return a frame whose ``columns``, integers or floats in ns, are durations."""
    import polars as pl

    wanted = [name for name in (*columns, *QUANTILES, "max") if name in frame.columns]
    return frame.with_columns(pl.col(wanted).cast(pl.Int64).cast(pl.Duration("ns")))


def bucket_counts(durations: pl.Series) -> NDArray[np.int64]:
    """Return how many durations (ns) are in each of the 64 powers of two."""
    import polars as pl

    numbers = durations.to_frame("time").select(bucket_of(pl.col("time").cast(pl.Int64)))
    return np.bincount(numbers["time"].to_numpy(), minlength=BUCKETS)


def histogram(counts: NDArray[np.int64], count: str) -> pl.DataFrame:
    """Return a histogram as a table, from the first bucket that is not empty to the last.

    Parameters
    ----------
    counts : int array of shape (64,)
        Of the powers of two.
    count : str
        Name of the column of counts.

    Returns
    -------
    polars.DataFrame
        low_ns, high_ns : u64
            The bucket holds [low_ns, high_ns).
        count : u64
    """
    import polars as pl

    used = np.flatnonzero(counts)
    span = np.arange(used[0], used[-1] + 1) if len(used) else np.zeros(0, np.int64)
    low, high = bounds(span)
    return pl.DataFrame(
        {"low_ns": low, "high_ns": high, count: counts[span].astype(np.uint64)},
        schema={"low_ns": pl.UInt64, "high_ns": pl.UInt64, count: pl.UInt64},
    )
