"""Block requests: how many, how large, how long they waited and how long the device took.

All functions work from the table ``block`` (one row per request) and, where the question can be
answered from sums and histograms, from ``block_agg`` (counted in the kernel). When a session holds
both, the single requests are used. *queued* is the time before the device got a request, *service*
the time that the device took.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.errors import ParameterError
from workbench.frames.counted import last_rows, quantiles
from workbench.frames.needs import need, only_counted
from workbench.frames.processes import with_comm
from workbench.frames.quantiles import quantile_columns
from workbench.frames.slices import heatmap, sliced

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from workbench.recording import Recording

EVENTS, AGGREGATED = "block", "block_agg"
TIMES = ("queued", "service")
_TEXTS = ("device", "op", "comm")
_KEYS = ("pid", "device", "op", "size_class")
_SUMS = ("requests", "failures", "bytes", "queued_sum", "service_sum")


def by_device(rec: Recording) -> pl.DataFrame:
    """Return one row per device and operation.

    Parameters
    ----------
    rec : Recording
        Needs ``block`` (device, op, bytes, failed, queued, service) or ``block_agg``.

    Returns
    -------
    polars.DataFrame
        device, op : str
        requests, failures, bytes : u64
        queued, service : duration[ns]
            Sums.
        queued_p50, queued_p99, service_p50, service_p99 : duration[ns]
            Times that occurred; from ``block_agg`` interpolated within a power of two. Most
            bytes first, ties by device and operation.

    Raises
    ------
    MissingTableError
        The session holds no block requests.
    """
    return _grouped(rec, ("device", "op"))


def by_size(rec: Recording) -> pl.DataFrame:
    """Return one row per device, operation and size class, then as :func:`by_device`.

    ``size_class`` i (u16) are sizes in [2^i, 2^(i+1)) bytes; 0 also holds requests without data.

    Raises
    ------
    MissingTableError
        The session holds no block requests.
    """
    return _grouped(rec, ("device", "op", "size_class"))


def by_process(rec: Recording) -> pl.DataFrame:
    """Return one row per process: pid, comm (one of its names), then as :func:`by_device`.

    What kernel threads wrote back counts for the process that made the pages dirty.

    Raises
    ------
    MissingTableError
        The session holds no block requests.
    """
    table = AGGREGATED if only_counted(rec, EVENTS, AGGREGATED) else EVENTS
    return with_comm(rec, table, _grouped(rec, ("pid", "device", "op")))


def over_time(rec: Recording, slices: int = 120) -> pl.DataFrame:
    """Return requests and bytes per slice of time and operation.

    Returns
    -------
    polars.DataFrame
        ts : datetime[ns, UTC]
            Start of the slice; those without a request are left out.
        op : str
        requests, bytes : u64

    Raises
    ------
    MissingTableError
        The session holds no single requests (counts from the kernel have no times).
    ParameterError
        ``slices`` is not positive.
    """
    import polars as pl

    events = need(rec, EVENTS, "ts", "op", "bytes").with_columns(pl.col("op").cast(pl.String))
    sums = [pl.len().cast(pl.UInt64).alias("requests"), pl.col("bytes").sum()]
    return sliced(events, slices, sums, ["op"])


def latency_heatmap(rec: Recording, time: str = "service", slices: int = 120) -> pl.DataFrame:
    """Return how many requests took how long over time: :func:`workbench.frames.slices.heatmap`.

    Parameters
    ----------
    rec : Recording
        Needs ``block``.
    time : str
        ``service`` or ``queued``.
    slices : int
        Number of slices of time.

    Raises
    ------
    MissingTableError
        The session holds no single requests (counts from the kernel have no times).
    ParameterError
        There is no such time, or ``slices`` is not positive.
    """
    if time not in TIMES:
        raise ParameterError(f"A block request has no time {time!r}.", why=f"It has {TIMES}.")
    return heatmap(need(rec, EVENTS, "ts", time), time, slices)


def _grouped(rec: Recording, by: Sequence[str]) -> pl.DataFrame:
    import polars as pl

    counted = only_counted(rec, EVENTS, AGGREGATED)
    found = _from_counts(rec, by) if counted else _from_events(rec, by)
    orders = [True, *[False] * len(by)]
    return found.select(
        *by,
        pl.col("requests", "failures", "bytes").cast(pl.UInt64),
        *(pl.col(time).cast(pl.Int64).cast(pl.Duration("ns")) for time in TIMES),
        *(
            pl.col(f"{time}_p{q}").cast(pl.Int64).cast(pl.Duration("ns"))
            for time in TIMES
            for q in (50, 99)
        ),
    ).sort("bytes", *by, descending=orders)


def _from_events(rec: Recording, by: Sequence[str]) -> pl.DataFrame:
    import polars as pl

    size = pl.col("bytes").clip(lower_bound=1).bitwise_leading_zeros().cast(pl.Int16)
    columns = [name for name in by if name != "size_class"]
    events = need(rec, EVENTS, *columns, "bytes", "failed", *TIMES).with_columns(
        pl.col(*TIMES).cast(pl.Int64),
        pl.col([name for name in columns if name in _TEXTS]).cast(pl.String),
        (63 - size).cast(pl.UInt16).alias("size_class"),
    )
    return (
        events.group_by(*by)
        .agg(
            pl.len().alias("requests"),
            pl.col("failed").sum().alias("failures"),
            pl.col("bytes").sum(),
            *(pl.col(time).sum() for time in TIMES),
            *(each for time in TIMES for each in quantile_columns(pl.col(time), f"{time}_")),
        )
        .collect()
    )


def _from_counts(rec: Recording, by: Sequence[str]) -> pl.DataFrame:
    import polars as pl

    histograms = [f"{time}_hist" for time in TIMES]
    rows = last_rows(rec, AGGREGATED, _KEYS, [*_SUMS, *histograms]).with_columns(
        pl.col("device", "op").cast(pl.String)
    )
    found = rows.group_by(*by).agg(pl.col(_SUMS).sum())
    for time in TIMES:
        parts = quantiles(rows, by, f"{time}_hist", f"{time}_")
        found = found.rename({f"{time}_sum": time}).join(parts, on=list(by), how="left")
    return found
