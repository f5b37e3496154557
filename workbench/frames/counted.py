"""Tables that were counted in the kernel: cumulative snapshots, the last row of a key counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.frames.needs import need
from workbench.frames.quantiles import BUCKETS, QUANTILES, histogram_columns

if TYPE_CHECKING:
    from collections.abc import Sequence

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
