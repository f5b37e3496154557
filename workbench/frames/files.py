"""Files: which are opened, read, written and synced, how much, how long it takes, which fail.

All functions work from the table ``files`` (one row per call and file) and, where the question can
be answered from sums and histograms, from ``files_agg`` (summed in the kernel). When a session
holds both, the single calls are used.
"""

from __future__ import annotations

import errno as errno_names
from typing import TYPE_CHECKING

from workbench.errors import ParameterError
from workbench.event_texts import FILE_OPS
from workbench.frames.counted import last_rows, quantiles
from workbench.frames.needs import need, only_counted
from workbench.frames.processes import with_comm
from workbench.frames.quantiles import quantile_columns
from workbench.frames.slices import heatmap, sliced

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from workbench.recording import Recording

EVENTS, AGGREGATED = "files", "files_agg"
TIMED = ("read", "write", "sync")
"""Operations whose latencies the kernel keeps as histograms."""
COUNTS = {"open": "opens", "close": "closes", "read": "reads", "write": "writes", "sync": "syncs"}
BYTES = ("read_bytes", "written_bytes")
_SUMS = ("operations", "errors", *COUNTS.values(), *BYTES)
_TIMES = ("open_time", "read_time", "write_time", "sync_time")


def by_file(rec: Recording) -> pl.DataFrame:
    """Return one row per path.

    Parameters
    ----------
    rec : Recording
        Needs ``files`` (path, type, op, ret, latency) or ``files_agg``.

    Returns
    -------
    polars.DataFrame
        path, type : str
        operations, errors, opens, closes, reads, writes, syncs : u64
            Calls; errors are calls of any kind that failed.
        read_bytes, written_bytes : u64
        open_time, read_time, write_time, sync_time : duration[ns]
            Time in these calls.
        read_p50, read_p99, write_p50, write_p99, sync_p50, sync_p99 : duration[ns]
            Latencies that occurred; from ``files_agg`` interpolated within a power of two; null
            where there was no such call. Most bytes first, ties by path and type.

    Raises
    ------
    MissingTableError
        The session holds no files.
    """
    return _grouped(rec, ("path", "type"))


def by_process(rec: Recording) -> pl.DataFrame:
    """Return one row per process: pid, comm (one of its names), then as :func:`by_file`.

    Raises
    ------
    MissingTableError
        The session holds no files.
    """
    table = AGGREGATED if only_counted(rec, EVENTS, AGGREGATED) else EVENTS
    return with_comm(rec, table, _grouped(rec, ("pid",)))


def failures(rec: Recording) -> pl.DataFrame:
    """Return one row per path, operation and error: what was asked for in vain.

    Returns
    -------
    polars.DataFrame
        path, op : str
        errno : u16
        error : str
            Its name, such as "ENOENT" (this host's errno.h).
        calls : u64
            Most first, ties by path, operation and number.

    Raises
    ------
    MissingTableError
        The session holds no single calls (sums from the kernel have no error numbers).
    """
    import polars as pl

    number = pl.col("errno")
    return (
        need(rec, EVENTS, "path", "op", "errno")
        .filter(number.is_not_null())
        .group_by(pl.col("path", "op").cast(pl.String), "errno")
        .agg(pl.len().cast(pl.UInt64).alias("calls"))
        .collect()
        .select(
            "path",
            "op",
            "errno",
            number.replace_strict(
                errno_names.errorcode,
                default=pl.format("errno {}", number),
                return_dtype=pl.String,
            ).alias("error"),
            "calls",
        )
        .sort("calls", "path", "op", "errno", descending=[True, False, False, False])
    )


def over_time(rec: Recording, slices: int = 120) -> pl.DataFrame:
    """Return calls and bytes per slice of time and operation.

    Returns
    -------
    polars.DataFrame
        ts : datetime[ns, UTC]
            Start of the slice; those without a call are left out.
        op : str
        calls, bytes : u64
            Bytes that were read or written.

    Raises
    ------
    MissingTableError
        The session holds no single calls (sums from the kernel have no times).
    ParameterError
        ``slices`` is not positive.
    """
    import polars as pl

    events = need(rec, EVENTS, "ts", "op", "ret").with_columns(pl.col("op").cast(pl.String))
    moves = pl.col("op").is_in(["read", "write"])
    moved = pl.when(moves).then(pl.col("ret").clip(lower_bound=0)).otherwise(0)
    sums = [
        pl.len().cast(pl.UInt64).alias("calls"),
        moved.sum().cast(pl.UInt64).alias("bytes"),
    ]
    return sliced(events, slices, sums, ["op"])


def latency_heatmap(rec: Recording, op: str = "read", slices: int = 120) -> pl.DataFrame:
    """Return how many calls took how long over time: :func:`workbench.frames.slices.heatmap`.

    Parameters
    ----------
    rec : Recording
        Needs ``files``.
    op : str
        ``open``, ``close``, ``read``, ``write`` or ``sync``.
    slices : int
        Number of slices of time.

    Raises
    ------
    MissingTableError
        The session holds no single calls (sums from the kernel have no times).
    ParameterError
        There is no such operation, or ``slices`` is not positive.
    """
    import polars as pl

    if op not in FILE_OPS:
        raise ParameterError(f"Nothing is called {op!r}.", why=f"There are {FILE_OPS}.")
    events = need(rec, EVENTS, "ts", "op", "latency")
    return heatmap(events.filter(pl.col("op").cast(pl.String) == op), "latency", slices)


def _grouped(rec: Recording, by: Sequence[str]) -> pl.DataFrame:
    import polars as pl

    counted = only_counted(rec, EVENTS, AGGREGATED)
    found = _from_sums(rec, by) if counted else _from_events(rec, by)
    orders = [True, *[False] * len(by)]
    durations = [*_TIMES, *(f"{op}_p{q}" for op in TIMED for q in (50, 99))]
    return (
        found.select(
            *by,
            pl.col(_SUMS).cast(pl.UInt64),
            pl.col(durations).cast(pl.Int64).cast(pl.Duration("ns")),
        )
        .with_columns((pl.col("read_bytes") + pl.col("written_bytes")).alias("bytes"))
        .sort("bytes", *by, descending=orders)
        .drop("bytes")
    )


def _from_events(rec: Recording, by: Sequence[str]) -> pl.DataFrame:
    import polars as pl

    texts = [name for name in ("path", "type", "op") if name in (*by, "op")]
    events = need(rec, EVENTS, *by, "op", "ret", "latency").with_columns(
        pl.col(texts).cast(pl.String), pl.col("latency").cast(pl.Int64)
    )
    latency, moved = pl.col("latency"), pl.col("ret").clip(lower_bound=0)
    mine = {op: pl.col("op") == op for op in COUNTS}
    return (
        events.group_by(*by)
        .agg(
            pl.len().alias("operations"),
            (pl.col("ret") < 0).sum().alias("errors"),
            *(mine[op].sum().alias(name) for op, name in COUNTS.items()),
            moved.filter(mine["read"]).sum().alias("read_bytes"),
            moved.filter(mine["write"]).sum().alias("written_bytes"),
            *(latency.filter(mine[op]).sum().alias(f"{op}_time") for op in ("open", *TIMED)),
            *(
                each
                for op in TIMED
                for each in quantile_columns(latency.filter(mine[op]), f"{op}_")
            ),
        )
        .collect()
    )


def _from_sums(rec: Recording, by: Sequence[str]) -> pl.DataFrame:
    import polars as pl

    sums = [f"{op}_sum" for op in ("open", *TIMED)]
    histograms = [f"{op}_hist" for op in TIMED]
    columns = ["path", "type", *_SUMS, *sums, *histograms]
    rows = last_rows(rec, AGGREGATED, ("pid", "path_id"), columns).with_columns(
        pl.col("path", "type").cast(pl.String)
    )
    found = rows.group_by(*by).agg(pl.col(*_SUMS, *sums).sum())
    found = found.rename({name: name.replace("_sum", "_time") for name in sums})
    for op in TIMED:
        found = found.join(quantiles(rows, by, f"{op}_hist", f"{op}_"), on=list(by), how="left")
    return found
