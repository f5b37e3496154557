"""The flow graph and listeners from what the kernel counted: process, role, other side, service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.frames.counted import histograms, last_rows
from workbench.frames.quantiles import histogram_quantile
from workbench.store.columns import KEYS

if TYPE_CHECKING:
    import polars as pl

    from workbench.recording import Recording

AGGREGATED = "tcp_agg"
_EDGE = ("comm", "role", "remote_address", "port")
_SUMS = ("connections", "connect_errors", "closes", "bytes_sent", "bytes_received", "retransmits")


def listeners(rec: Recording) -> pl.DataFrame:
    """Return what :func:`workbench.frames.flows.listeners` does, from ``tcp_agg``.

    Raises
    ------
    MissingTableError
        The session holds no counted TCP connections.
    """
    import polars as pl

    rows = last_rows(rec, AGGREGATED, KEYS[AGGREGATED], ("comm", "dropped"))
    return (
        rows.with_columns(pl.col("comm", "role").cast(pl.String))
        .filter(pl.col("role") == "listener")
        .group_by("comm", "pid", "port")
        .agg(pl.col("dropped").sum().cast(pl.UInt32))
        .sort("dropped", "comm", "pid", "port", descending=[True, False, False, False])
    )


def edges(rec: Recording) -> pl.DataFrame:
    """Return what :func:`workbench.frames.flows.edges` does, from ``tcp_agg``.

    Raises
    ------
    MissingTableError
        The session holds no counted TCP connections.
    """
    import polars as pl

    keys = ("pid", *_EDGE[1:])
    rows = last_rows(rec, AGGREGATED, keys, ("comm", *_SUMS, "duration_sum", "rtt_hist"))
    rows = rows.with_columns(pl.col("comm", "role").cast(pl.String)).filter(
        pl.col("role") != "listener"
    )
    samples, counts = histograms(rows, _EDGE, "rtt_hist")
    times = samples.with_columns(pl.Series("rtt", histogram_quantile(counts, 0.5)).fill_nan(None))
    sums = rows.group_by(*_EDGE).agg(
        pl.col(_SUMS).sum(), pl.col("duration_sum").cast(pl.Int64).sum()
    )
    found = sums.join(times, on=list(_EDGE), how="left").select(
        *_EDGE,
        pl.col("connections").cast(pl.UInt32),
        pl.col("connect_errors").cast(pl.UInt32).alias("failed"),
        pl.col("bytes_sent", "bytes_received"),
        pl.col("retransmits").cast(pl.UInt32),
        pl.when(pl.col("closes") > 0)
        .then(pl.col("duration_sum") / pl.col("closes"))
        .round()
        .cast(pl.Int64)
        .cast(pl.Duration("ns"))
        .alias("duration"),
        pl.col("rtt").round().cast(pl.Int64).cast(pl.Duration("ns")),
    )
    carried = pl.col("bytes_sent") + pl.col("bytes_received")
    return found.sort(carried, *_EDGE, descending=[True, False, False, False, False])
