"""System calls: how many, how slow, which failed.

All functions work from the table ``syscalls`` (one row per call) and, where the question can
be answered from sums and histograms, from ``syscalls_agg`` (counted in the kernel). When a
session holds both, the single calls are used.
"""

from __future__ import annotations

import errno as errno_names
from typing import TYPE_CHECKING

import numpy as np

from workbench.errors import ParameterError
from workbench.frames import snapshots
from workbench.frames.needs import need, only_counted
from workbench.frames.quantiles import (
    BUCKETS,
    bounds,
    bucket_of,
    quantile,
)

if TYPE_CHECKING:
    import polars as pl

    from workbench.recording import Recording

EVENTS = "syscalls"
AGGREGATED = snapshots.TABLE
_DURATIONS = ("total", "mean", "p50", "p99", "max")


RESTARTS = {
    512: "ERESTARTSYS",
    513: "ERESTARTNOINTR",
    514: "ERESTARTNOHAND",
    516: "ERESTART_RESTARTBLOCK",
}
"""What the kernel returns to itself when a signal interrupts a call, which it then restarts or
turns into EINTR (include/linux/errno.h); strace shows them, too."""


def aggregated(rec: Recording) -> bool:
    """Return whether only counts from the kernel are known, not single calls."""
    return only_counted(rec, EVENTS, AGGREGATED)


def summary(rec: Recording) -> pl.DataFrame:
    """Return one row per system call.

    Parameters
    ----------
    rec : Recording
        Needs ``syscalls`` (name, errno, latency, weight) or ``syscalls_agg`` (ts, pid, nr,
        name, calls, errors, latency_sum, latency_hist).

    Returns
    -------
    polars.DataFrame
        name : str
        calls, errors : u64
            Weighted with ``weight``.
        error_rate : f64
            errors / calls.
        total, mean, p50, p99, max : duration[ns]
            Quantiles are latencies that occurred (:func:`workbench.frames.quantiles.quantile`).
            From ``syscalls_agg`` they are interpolated within a log2 bucket (off by less than a
            factor of two) and ``max`` is null. Most total time first, ties by name.

    Raises
    ------
    MissingTableError
        The session holds no system calls.
    """
    import polars as pl

    table = snapshots.summary(rec) if aggregated(rec) else _summary_events(rec)
    return table.select(
        pl.col("name").cast(pl.String),
        pl.col("calls", "errors").cast(pl.UInt64),
        (pl.col("errors") / pl.col("calls")).alias("error_rate"),
        *(pl.col(column).cast(pl.Int64).cast(pl.Duration("ns")) for column in _DURATIONS),
    ).sort("total", "name", descending=[True, False])


def _summary_events(rec: Recording) -> pl.DataFrame:
    import polars as pl

    latency, weight = pl.col("latency"), pl.col("weight")
    frame = need(rec, EVENTS, "name", "errno", "latency", "weight").with_columns(
        latency.cast(pl.Int64), weight.cast(pl.Int64)
    )
    weighted = not frame.select((weight == 1).all()).collect().item()
    total = (latency * weight).sum()
    return (
        frame.group_by("name")
        .agg(
            weight.sum().alias("calls"),
            weight.filter(pl.col("errno").is_not_null()).sum().alias("errors"),
            total.alias("total"),
            (total / weight.sum()).round().alias("mean"),
            quantile(latency, weight, 0.50, weighted=weighted).alias("p50"),
            quantile(latency, weight, 0.99, weighted=weighted).alias("p99"),
            latency.max().alias("max"),
        )
        .collect()
    )


def errors(rec: Recording) -> pl.DataFrame:
    """Return one row per system call and error.

    Returns
    -------
    polars.DataFrame
        name : str
        errno : u16
            Error number; null in sessions counted in the kernel, which keep only the sum.
        error : str
            Its name, such as "ENOENT" (this host's errno.h); "errno 513" for numbers without
            one (kernel-internal restarts); null where ``errno`` is null.
        calls : u64
            Calls that failed so, most first, ties by name and number.

    Raises
    ------
    MissingTableError
        The session holds no system calls.
    """
    import polars as pl

    if aggregated(rec):
        counted = (
            snapshots.last_snapshot(rec)
            .group_by(pl.col("name").cast(pl.String))
            .agg(pl.col("errors").sum().alias("calls"))
            .with_columns(pl.lit(None, pl.UInt16).alias("errno"))
            .filter(pl.col("calls") > 0)
        )
    else:
        counted = (
            need(rec, EVENTS, "name", "errno", "weight")
            .filter(pl.col("errno").is_not_null())
            .group_by("name", "errno")
            .agg(pl.col("weight").cast(pl.UInt64).sum().alias("calls"))
            .collect()
        )
    number = pl.col("errno").cast(pl.UInt16)
    texts = list({**errno_names.errorcode, **RESTARTS}.items())
    return counted.select(
        pl.col("name").cast(pl.String),
        number,
        number.replace_strict(
            [code for code, _ in texts],
            [text for _, text in texts],
            default=pl.format("errno {}", number),
            return_dtype=pl.String,
        ).alias("error"),
        pl.col("calls").cast(pl.UInt64),
    ).sort("calls", "name", "errno", descending=[True, False, False])


def latency_histograms(rec: Recording) -> pl.DataFrame:
    """Return the log2 latency histogram of every system call, empty buckets left out.

    Returns
    -------
    polars.DataFrame
        name : str
        bucket : u8
            Bucket i counts latencies in [2^i, 2^(i+1)) ns; bucket 0 also holds 0.
        calls : u64
            Sorted by name and bucket.

    Raises
    ------
    MissingTableError
        The session holds no system calls.
    """
    import polars as pl

    if aggregated(rec):
        names, counts = snapshots.histograms(snapshots.last_snapshot(rec))
        row, bucket = np.nonzero(counts)
        found = pl.DataFrame(
            {"name": names.gather(row), "bucket": bucket, "calls": counts[row, bucket]}
        )
    else:
        found = (
            need(rec, EVENTS, "name", "latency", "weight")
            .group_by("name", bucket_of(pl.col("latency").cast(pl.Int64)).alias("bucket"))
            .agg(pl.col("weight").cast(pl.UInt64).sum().alias("calls"))
            .collect()
        )
    return found.select(
        pl.col("name").cast(pl.String),
        pl.col("bucket").cast(pl.UInt8),
        pl.col("calls").cast(pl.UInt64),
    ).sort("name", "bucket")


def latency_histogram(rec: Recording, name: str | None = None) -> pl.DataFrame:
    """Return the log2 latency histogram of one system call or of all.

    Parameters
    ----------
    rec : Recording
        Needs ``syscalls`` (name, latency, weight) or ``syscalls_agg``.
    name : str, optional
        System call; all of them when left out.

    Returns
    -------
    polars.DataFrame
        low_ns, high_ns : u64
            The bucket holds latencies in [low_ns, high_ns): contiguous powers of two from the
            first to the last bucket that is not empty; the first bucket of all starts at 0.
        calls : u64
            Weighted calls in it.

    Raises
    ------
    MissingTableError
        The session holds no system calls.
    """
    import polars as pl

    found = latency_histograms(rec)
    if name is not None:
        found = found.filter(pl.col("name") == name)
    counts = np.zeros(BUCKETS, np.uint64)
    np.add.at(counts, found["bucket"].to_numpy(), found["calls"].to_numpy())
    used = np.flatnonzero(counts)
    span = np.arange(used[0], used[-1] + 1) if len(used) else np.zeros(0, np.int64)
    low, high = bounds(span)
    return pl.DataFrame({"low_ns": low, "high_ns": high, "calls": counts[span]})


def over_time(rec: Recording, buckets: int = 120) -> pl.DataFrame:
    """Return calls and errors per time slice.

    Parameters
    ----------
    rec : Recording
        Needs ``syscalls`` (ts, errno, weight).
    buckets : int
        Number of slices of equal length between the first and the last call.

    Returns
    -------
    polars.DataFrame
        ts : datetime[ns, UTC]
            Start of the slice. There are ``buckets`` rows (fewer when the calls span fewer
            nanoseconds; none when there are no calls); slices without a call count 0.
        calls, errors : u64

    Raises
    ------
    MissingTableError
        The session holds no single calls (counts from the kernel have no times).
    ParameterError
        ``buckets`` is not positive.
    """
    import polars as pl

    if buckets < 1:
        raise ParameterError(f"Cannot divide time into {buckets} slices.", advice="Use 1 or more.")
    calls = need(rec, EVENTS, "ts", "errno", "weight").with_columns(pl.col("ts").cast(pl.Int64))
    first, last = calls.select(first=pl.min("ts"), last=pl.max("ts")).collect().row(0)
    width = 1 if first is None else max(1, -(-(last - first + 1) // buckets))
    slices = 0 if first is None else -(-(last - first + 1) // width)
    weight = pl.col("weight").cast(pl.UInt64)
    counted = (
        calls.group_by(((pl.col("ts") - first) // width).alias("slice"))
        .agg(
            weight.sum().alias("calls"),
            weight.filter(pl.col("errno").is_not_null()).sum().alias("errors"),
        )
        .collect()
    )
    starts = pl.DataFrame({"slice": np.arange(slices, dtype=np.int64)})
    return starts.join(counted, on="slice", how="left", maintain_order="left").select(
        ((first or 0) + pl.col("slice") * width).cast(pl.Datetime("ns", "UTC")).alias("ts"),
        pl.col("calls", "errors").fill_null(0).cast(pl.UInt64),
    )
