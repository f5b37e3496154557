"""System calls that were counted in the kernel: cumulative snapshots, the last one counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from workbench.frames.needs import need
from workbench.frames.quantiles import BUCKETS, histogram_columns

if TYPE_CHECKING:
    import polars as pl

    from workbench.recording import Recording

TABLE = "syscalls_agg"


def last_snapshot(rec: Recording) -> pl.DataFrame:
    """Return the last row of each (pid, nr): snapshots are cumulative."""
    columns = ("ts", "pid", "nr", "name", "calls", "errors", "latency_sum", "latency_hist")
    return (
        need(rec, TABLE, *columns)
        .sort("ts", maintain_order=True)
        .unique(["pid", "nr"], keep="last", maintain_order=True)
        .collect()
    )


def histograms(rows: pl.DataFrame) -> tuple[pl.Series, NDArray[np.int64]]:
    """Sum the kernel's histograms by name; return the names and counts, shape (n, 64)."""
    import polars as pl

    names = rows["name"].cast(pl.String)
    unique = names.unique().sort()
    position = unique.search_sorted(names).to_numpy() if len(rows) else np.zeros(0, np.int64)
    counts = np.zeros((len(unique), BUCKETS), np.int64)
    flat = rows["latency_hist"].explode(empty_as_null=False).to_numpy()
    np.add.at(counts, position, flat.reshape(-1, BUCKETS).astype(np.int64))
    return unique, counts


def summary(rec: Recording) -> pl.DataFrame:
    """Return name, calls, errors and total, mean, p50, p99 (ns) and max (null) per call."""
    import polars as pl

    rows = last_snapshot(rec)
    names, counts = histograms(rows)
    quantiles = pl.DataFrame({"name": names}).with_columns(
        *histogram_columns(counts),
        pl.lit(None, pl.Int64).alias("max"),
    )
    sums = rows.group_by(pl.col("name").cast(pl.String)).agg(
        pl.col("calls", "errors").sum(),
        pl.col("latency_sum").cast(pl.Int64).sum().alias("total"),
    )
    return (
        sums.filter(pl.col("calls") > 0)
        .with_columns((pl.col("total") / pl.col("calls")).round().alias("mean"))
        .join(quantiles, on="name", how="left")
    )
