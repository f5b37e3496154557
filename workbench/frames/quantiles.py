"""Quantiles of durations, from single values and from log2 histograms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import polars as pl

QUANTILES = {"p50": 0.50, "p99": 0.99}
"""Those that tables of durations have, by the ends of their columns' names."""
BUCKETS = 64
"""Bucket i counts values in [2^i, 2^(i+1)); bucket 0 also holds 0."""


def quantile(value: pl.Expr, weight: pl.Expr, q: float, *, weighted: bool) -> pl.Expr:
    """Return the expression of a quantile inside ``group_by().agg()``.

    The smallest value whose cumulative weight reaches ``q`` of the total: a value that
    occurred, never a mean of two ("inverted_cdf" in numpy.quantile; definition 1 of Hyndman
    and Fan, Sample Quantiles in Statistical Packages, 1996).

    Parameters
    ----------
    value, weight : polars.Expr
        Integer columns of one group, without nulls; values up to 2^53 (104 days in ns).
    q : float
        Between 0 and 1.
    weighted : bool
        False when every weight is 1, which is much faster.
    """
    import polars as pl

    if not weighted:
        return value.quantile(q, interpolation="equiprobable").cast(pl.Int64)
    reached = weight.sort_by(value).cum_sum() >= weight.sum() * q
    return value.sort().get(reached.arg_max())


def quantile_columns(value: pl.Expr, prefix: str = "") -> list[pl.Expr]:
    """Return the expressions ``{prefix}p50`` and ``{prefix}p99`` of values without weights."""
    import polars as pl

    one = pl.lit(1)
    return [
        quantile(value, one, q, weighted=False).alias(prefix + name)
        for name, q in QUANTILES.items()
    ]


def bucket_of(value: pl.Expr) -> pl.Expr:
    """Return the expression of the log2 bucket of a duration in ns (exact, no float)."""
    import polars as pl

    floor = value.clip(lower_bound=1).cast(pl.UInt64)
    zeros = floor.bitwise_leading_zeros().cast(pl.Int16)
    return (zeros * -1 + 63).cast(pl.UInt8)


def bounds(bucket: NDArray[np.integer]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return the lower and the exclusive upper bound of buckets, in ns.

    The last bucket's upper bound, 2^64, does not fit and is given as 2^64 - 1.
    """
    number = np.asarray(bucket).astype(np.uint64)
    low = np.where(number == 0, 0, np.uint64(1) << number).astype(np.uint64)
    last = number >= BUCKETS - 1
    high = np.uint64(1) << np.where(last, 0, number + 1).astype(np.uint64)
    return low, np.where(last, np.uint64(2**64 - 1), high).astype(np.uint64)


def histogram_quantile(counts: NDArray[np.integer], q: float) -> NDArray[np.float64]:
    """Estimate a quantile from log2 histograms.

    Values are taken as evenly spread inside a bucket, so the result may be wrong by up to the
    width of the bucket (a factor of two), never by more.

    Parameters
    ----------
    counts : numpy.ndarray
        Shape (n, 64), counts per bucket.
    q : float
        Between 0 and 1.

    Returns
    -------
    numpy.ndarray
        float64, shape (n,), in ns; nan where a row counts nothing.
    """
    counts = counts.astype(np.float64)
    cumulative = np.cumsum(counts, axis=1)
    total = cumulative[:, -1]
    target = total * q
    rows = np.arange(len(counts))
    at = np.argmax((cumulative >= target[:, None]) & (counts > 0), axis=1)
    inside = counts[rows, at]
    low, high = (bound.astype(np.float64) for bound in bounds(at))
    with np.errstate(invalid="ignore", divide="ignore"):
        share = (target - (cumulative[rows, at] - inside)) / inside
        return np.where(total > 0, low + share * (high - low), np.nan)


def histogram_columns(counts: NDArray[np.integer], prefix: str = "") -> list[pl.Series]:
    """Return columns ``{prefix}p50`` and ``{prefix}p99`` of log2 histograms.

    Parameters
    ----------
    counts : numpy.ndarray
        Shape (n, 64).
    prefix : str

    Returns
    -------
    list of polars.Series
        Float64 of length n, whole numbers of ns; null where a row counts nothing.
    """
    import polars as pl

    return [
        pl.Series(prefix + name, histogram_quantile(counts, q)).fill_nan(None).round()
        for name, q in QUANTILES.items()
    ]
