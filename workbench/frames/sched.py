"""Scheduling: how long threads waited for a CPU, how long they had it, who woke them.

All functions work from the table ``sched`` (one row for each time that a thread had a CPU) and,
where the question can be answered from counts, from ``sched_agg`` (counted in the kernel). When
a session holds both, the single runs are used. *Latency* is the time in a run queue; runs whose
wake-up was not seen (``cause`` is "unknown") have none and do not count in quantiles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.frames import durations
from workbench.frames.counted import histograms, quantiles
from workbench.frames.needs import need, only_counted
from workbench.frames.processes import thread_names

if TYPE_CHECKING:
    import polars as pl

    from workbench.recording import Recording

EVENTS = "sched"
AGGREGATED = "sched_agg"
_SUMS = ("ran", "waited")


def aggregated(rec: Recording) -> bool:
    """Return whether only counts from the kernel are known, not single runs."""
    return only_counted(rec, EVENTS, AGGREGATED)


def _runs(rec: Recording, *columns: str) -> pl.LazyFrame:
    """Return the runs; times are integers, in ns, texts are strings, unknown latencies null."""
    import polars as pl

    wanted = dict.fromkeys((*columns, "cause", "latency", "ran"))
    texts = [name for name in ("comm", "cause", "state", "waker") if name in wanted]
    latency = pl.col("latency").cast(pl.Int64)
    known = pl.col("cause").cast(pl.String) != "unknown"
    return need(rec, EVENTS, *wanted).with_columns(
        pl.when(known).then(latency).alias("latency"),
        pl.col("ran").cast(pl.Int64),
        pl.col(texts).cast(pl.String),
    )


def by_thread(rec: Recording) -> pl.DataFrame:
    """Return one row per thread.

    Parameters
    ----------
    rec : Recording
        Needs ``sched`` or ``sched_agg``.

    Returns
    -------
    polars.DataFrame
        pid, tid : u32
        comm : str
            Its last name.
        runs : u64
            Times that it had a CPU.
        preempted : u64
            Runs at whose end it could have gone on.
        migrations : u64
            Times that it was moved to another CPU.
        ran : duration[ns]
            Sum of the times on a CPU.
        waited, p50, p99, max : duration[ns]
            Sum, quantiles and maximum of the times in a run queue: latencies that occurred; from
            ``sched_agg`` interpolated within a power of two. Most waiting first, ties by ids.

    Raises
    ------
    MissingTableError
        The session holds no scheduling.
    """
    return _by(rec, "pid", "tid")


def by_process(rec: Recording) -> pl.DataFrame:
    """Return one row per process: pid, comm, then as :func:`by_thread`.

    Raises
    ------
    MissingTableError
        The session holds no scheduling.
    """
    return _by(rec, "pid")


def _by(rec: Recording, *keys: str) -> pl.DataFrame:
    import polars as pl

    found = _counted(rec, list(keys)) if aggregated(rec) else _grouped(rec, list(keys))
    counts = ("runs", "preempted", "migrations")
    order = ["waited", *keys]
    return durations.in_durations(
        found.select(*keys, "comm", pl.col(counts).cast(pl.UInt64), *_SUMS, "p50", "p99", "max"),
        *_SUMS,
    ).sort(order, descending=[True, *[False] * len(keys)])


def _grouped(rec: Recording, keys: list[str]) -> pl.DataFrame:
    import polars as pl

    runs = _runs(rec, "ts", *keys, "comm", "state", "migrations")
    return (
        runs.group_by(keys)
        .agg(
            pl.col("comm").sort_by("ts").last(),
            pl.len().alias("runs"),
            (pl.col("state") == "preempted").sum().alias("preempted"),
            pl.col("migrations").cast(pl.UInt64).sum(),
            pl.col("ran").sum(),
            *durations.figures("latency", "waited"),
        )
        .collect()
    )


def _counted(rec: Recording, keys: list[str]) -> pl.DataFrame:
    import polars as pl

    counts = ("runs", "preempted", "migrations")
    times = ("ran_sum", "latency_sum", "latency_max")
    names = ("pid", "tid", "comm", *counts, *times, "latency_hist")
    rows = need(rec, AGGREGATED, *names).with_columns(pl.col(times).cast(pl.Int64)).collect()
    found = quantiles(rows, keys, "latency_hist")
    sums = rows.group_by(keys).agg(
        pl.col("comm").cast(pl.String).first(),
        pl.col(counts).sum(),
        pl.col("ran_sum").sum().alias("ran"),
        pl.col("latency_sum").sum().alias("waited"),
        pl.col("latency_max").max().alias("max"),
    )
    return found.join(sums, on=keys, how="left")


def latency_histogram(rec: Recording) -> pl.DataFrame:
    """Return the histogram of all run-queue latencies; ``rec.where(...)`` narrows it.

    Returns
    -------
    polars.DataFrame
        low_ns, high_ns : u64
            The bucket holds latencies in [low_ns, high_ns): contiguous powers of two.
        runs : u64

    Raises
    ------
    MissingTableError
        The session holds no scheduling.
    """
    if aggregated(rec):
        rows = need(rec, AGGREGATED, "latency_hist").collect()
        _, counts = histograms(rows.insert_column(0, _zeros(rows)), ["all"], "latency_hist")
        return durations.histogram(counts.sum(axis=0), "runs")
    latencies = _runs(rec).select("latency").drop_nulls().collect()["latency"]
    return durations.histogram(durations.bucket_counts(latencies), "runs")


def _zeros(rows: pl.DataFrame) -> pl.Series:
    import polars as pl

    return pl.zeros(len(rows), pl.UInt8, eager=True).alias("all")


def wakers(rec: Recording) -> pl.DataFrame:
    """Return who woke whom: one row per pair of threads, and per context of the wake-up.

    Returns
    -------
    polars.DataFrame
        waker : str
            In what it happened, see :data:`workbench.event_texts.WAKER_CONTEXTS`.
        waker_pid, waker_tid : u32
            0 for interrupts.
        waker_comm : str
            Its last name; null where the session does not know the thread.
        pid, tid : u32
        comm : str
            The thread that was woken, its last name.
        wakeups : u64
            New threads count as woken by the one that made them.
        waited, p50, p99, max : duration[ns]
            Run-queue latency after them. Most wake-ups first, ties by ids.

    Raises
    ------
    MissingTableError
        The session holds no single runs.
    """
    import polars as pl

    keys = ["waker", "waker_pid", "waker_tid", "pid", "tid"]
    found = (
        _runs(rec, "ts", *keys, "comm")
        .filter(pl.col("waker") != "none")
        .group_by(keys)
        .agg(
            pl.col("comm").sort_by("ts").last(),
            pl.len().cast(pl.UInt64).alias("wakeups"),
            *durations.figures("latency", "waited"),
        )
        .collect()
    )
    names = thread_names(rec).rename({"tid": "waker_tid", "comm": "waker_comm"})
    joined = durations.in_durations(found.join(names, on="waker_tid", how="left"), "waited")
    head = [*keys[:3], "waker_comm", "pid", "tid", "comm"]
    order = ["wakeups", *keys]
    return joined.select(*head, pl.exclude(head)).sort(
        order, descending=[True, *[False] * len(keys)]
    )


def longest(rec: Recording, n: int = 20) -> pl.DataFrame:
    """Return the ``n`` runs that waited longest for a CPU, longest first.

    Returns
    -------
    polars.DataFrame
        ts : datetime[ns, UTC]
            When it got the CPU.
        cpu, from_cpu : u16
        pid, tid : u32
        comm, cause, waker : str
        latency, ran : duration[ns]
        waker_pid, waker_tid : u32

    Raises
    ------
    MissingTableError
        The session holds no single runs.
    """
    import polars as pl

    columns = ("ts", "cpu", "from_cpu", "pid", "tid", "comm", "cause", "waker")
    rest = ("waker_pid", "waker_tid")
    return (
        _runs(rec, *columns, *rest)
        .drop_nulls("latency")
        .sort("latency", "ts", "tid", descending=[True, False, False])
        .head(n)
        .select(*columns, pl.col("latency", "ran").cast(pl.Duration("ns")), *rest)
        .collect()
    )


def chains(rec: Recording, depth: int = 4) -> pl.DataFrame:
    """Return chains of wake-ups: who woke the one that woke the one that ran.

    The waker's own run is the one during which it woke: it is looked up in the same table, and
    whoever had woken that run is the next link. A chain ends at an interrupt, at a thread that
    was not recorded, at a run that began otherwise, or after ``depth`` wake-ups.

    Parameters
    ----------
    rec : Recording
        Needs ``sched``.
    depth : int
        Wake-ups of a chain at most.

    Returns
    -------
    polars.DataFrame
        chain : str
            ``woken ← waker ← its waker``, last names of the threads; "interrupt" for timers and
            devices, "thread N" where no name is known.
        length : u32
            Wake-ups.
        wakeups : u64
            Runs that came about so.
        p50, max : duration[ns]
            From the first wake-up of the chain until the last thread ran. Most runs first, ties by
            chain.

    Raises
    ------
    MissingTableError
        The session holds no single runs.
    """
    from workbench.frames.wakeups import follow

    return follow(_runs(rec, "ts", "tid", "waker", "waker_tid").collect(), thread_names(rec), depth)
