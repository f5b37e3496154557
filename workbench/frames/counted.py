"""Tables that were counted in the kernel: cumulative snapshots, the last row of a key counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.frames.needs import need
from workbench.frames.quantiles import BUCKETS, QUANTILES, histogram_columns, histogram_quantile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl
    from numpy.typing import NDArray

    from workbench.recording import Recording


def last_rows(
    rec: Recording, table: str, keys: Sequence[str], columns: Sequence[str]
) -> pl.DataFrame:
    """Return the last row of each key, without its time.

    Raises
    ------
    MissingTableError
        The session lacks the table or a column.
    """
    return (
        need(rec, table, "ts", *keys, *columns)
        .sort("ts", maintain_order=True)
        .unique(list(keys), keep="last", maintain_order=True)
        .drop("ts")
        .collect()
    )


def histograms(
    rows: pl.DataFrame, by: Sequence[str], column: str
) -> tuple[pl.DataFrame, NDArray[np.int64]]:
    """Sum log2 histograms of the rows that share ``by``.

    Returns
    -------
    keys : polars.DataFrame
        The distinct values of ``by``, in the order in which they first appear.
    counts : int64 array of shape (keys, 64)
    """
    import polars as pl

    keys = rows.select(by).unique(maintain_order=True)
    position = rows.select(by).join(
        keys.with_row_index("row"),
        on=list(by),
        how="left",
        maintain_order="left",
        nulls_equal=True,
    )["row"]
    counts = np.zeros((keys.height, BUCKETS), np.int64)
    if rows.height:
        flat = rows[column].explode(empty_as_null=False).cast(pl.Int64).to_numpy()
        np.add.at(counts, position.to_numpy(), flat.reshape(-1, BUCKETS))
    return keys, counts


def quantiles(rows: pl.DataFrame, by: Sequence[str], column: str, prefix: str = "") -> pl.DataFrame:
    """Return p50 and p99 of summed log2 histograms.

    Returns
    -------
    polars.DataFrame
        The columns ``by``, and ``{prefix}p50`` and ``{prefix}p99``, duration[ns]: interpolated
        within a bucket, off by less than a factor of two.
    """
    import polars as pl

    keys, counts = histograms(rows, by, column)
    return keys.with_columns(histogram_columns(counts, prefix)).with_columns(
        pl.col(prefix + name).cast(pl.Int64).cast(pl.Duration("ns")) for name in QUANTILES
    )


def spans(
    rows: pl.DataFrame, by: Sequence[str], name: str, wanted: Mapping[str, float]
) -> pl.DataFrame:
    """Return quantiles and the longest of durations that were counted as ``NAME_hist``.

    Parameters
    ----------
    rows : polars.DataFrame
        With ``NAME_hist`` and ``NAME_max``.
    by : sequence of str
        Keys whose rows are summed.
    name : str
    wanted : mapping of str to float
        Column to quantile, between 0 and 1.

    Returns
    -------
    polars.DataFrame
        The columns ``by``, those that are wanted and ``max``: int64, in ns, null where nothing was
        counted. Quantiles are interpolated within a bucket, and at most ``max``.
    """
    import polars as pl

    keys, counts = histograms(rows, by, f"{name}_hist")
    longest = rows.group_by(*by).agg(pl.col(f"{name}_max").cast(pl.Int64).max().alias("max"))
    found = keys.with_columns(
        pl.Series(column, histogram_quantile(counts, q)).fill_nan(None).round().cast(pl.Int64)
        for column, q in wanted.items()
    ).join(longest, on=list(by))
    known = pl.col(next(iter(wanted))).is_not_null()
    return found.with_columns(
        *(pl.when(known).then(pl.min_horizontal(column, "max")).alias(column) for column in wanted),
        pl.when(known).then("max"),
    )
