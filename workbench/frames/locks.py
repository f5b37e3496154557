"""Locks: which are waited for, how long, who held them, who released them.

All functions work from the table ``locks``: one row for each wait that ended, and one for each
call that wakes others. :func:`by_lock` can also work from ``locks_agg`` (counted in the kernel).
Waits of programs are those of the futex system call: locks, but also condition variables,
semaphores and barriers; ``owner_tid`` tells locks apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.frames import durations
from workbench.frames.counted import quantiles
from workbench.frames.needs import need, only_counted
from workbench.frames.processes import thread_names

if TYPE_CHECKING:
    import polars as pl

    from workbench.recording import Recording

EVENTS = "locks"
AGGREGATED = "locks_agg"
_TIMES = ("waited", "held", "held_max")


def _events(rec: Recording, *columns: str) -> pl.LazyFrame:
    """Return the events; times in ns, those that are not known null, texts as strings."""
    import polars as pl

    wanted = dict.fromkeys((*columns, "event", "type", "waited", "held"))
    texts = [name for name in ("event", "type", "comm") if name in wanted]
    wait, held = pl.col("event").cast(pl.String) == "wait", pl.col("held").cast(pl.Int64)
    return need(rec, EVENTS, *wanted).with_columns(
        pl.when(wait).then(pl.col("waited").cast(pl.Int64)).alias("waited"),
        pl.when(~wait & (held > 0)).then(held).alias("held"),
        pl.col(texts).cast(pl.String),
    )


def _grouped(
    rec: Recording, keys: list[str], *more: pl.Expr, needs: tuple[str, ...] = ()
) -> pl.DataFrame:
    """Return waits, time waited and its quantiles, and times held by key; most waited first."""
    import polars as pl

    found = (
        _events(rec, *keys, *needs)
        .group_by(keys)
        .agg(
            pl.col("waited").count().cast(pl.UInt64).alias("waits"),
            *more,
            *durations.figures("waited", "waited"),
            pl.col("held").count().cast(pl.UInt64).alias("holds"),
            pl.col("held").sum(),
            pl.col("held").max().alias("held_max"),
        )
        .filter((pl.col("waits") > 0) | (pl.col("holds") > 0))
        .collect()
    )
    order = ["waited", *keys]
    return durations.in_durations(found, *_TIMES).sort(
        order, descending=[True, *[False] * len(keys)]
    )


def by_lock(rec: Recording) -> pl.DataFrame:
    """Return one row per lock.

    Parameters
    ----------
    rec : Recording
        Needs ``locks`` or ``locks_agg``.

    Returns
    -------
    polars.DataFrame
        pid : u32
            Addresses are those of this process. Locks of the kernel have a row for each process.
        type : str
            See :data:`workbench.event_texts.LOCK_TYPES`.
        lock : u64
            Address.
        waits : u64
        threads : u32
            Different threads that waited; null from ``locks_agg``.
        waited, p50, p99, max : duration[ns]
            From ``locks_agg`` the quantiles are interpolated within a power of two, and ``max`` is
            null.
        holds : u64
            Releases by threads that had waited for the lock: for how long they had it is known.
        held, held_max : duration[ns]
            Their sum and maximum (null from ``locks_agg``). Most time waited first, ties by ids.

    Raises
    ------
    MissingTableError
        The session holds no locks.
    """
    import polars as pl

    if aggregated(rec):
        return _counted(rec)
    waiting = pl.col("tid").filter(pl.col("waited").is_not_null())
    threads = waiting.n_unique().cast(pl.UInt32).alias("threads")
    return _grouped(rec, ["pid", "type", "lock"], threads, needs=("tid",))


def aggregated(rec: Recording) -> bool:
    """Return whether only counts from the kernel are known, not single waits."""
    return only_counted(rec, EVENTS, AGGREGATED)


def _counted(rec: Recording) -> pl.DataFrame:
    import polars as pl

    keys = ["pid", "type", "lock"]
    times = ("waited_sum", "held_sum")
    rows = (
        need(rec, AGGREGATED, *keys, "waits", "holds", *times, "waited_hist")
        .with_columns(pl.col(times).cast(pl.Int64), pl.col("type").cast(pl.String))
        .filter((pl.col("waits") > 0) | (pl.col("holds") > 0))
        .collect()
    )
    figures = quantiles(rows, keys, "waited_hist")
    none = pl.lit(None, pl.Int64)
    found = rows.join(figures, on=keys, how="left").select(
        *keys,
        "waits",
        pl.lit(None, pl.UInt32).alias("threads"),
        pl.col("waited_sum").alias("waited"),
        "p50",
        "p99",
        none.alias("max"),
        "holds",
        pl.col("held_sum").alias("held"),
        none.alias("held_max"),
    )
    order = ["waited", *keys]
    return durations.in_durations(found, *_TIMES).sort(order, descending=[True, *[False] * 3])


def by_thread(rec: Recording) -> pl.DataFrame:
    """Return one row per thread and type of lock: pid, tid, comm, type, then as :func:`by_lock`.

    Raises
    ------
    MissingTableError
        The session holds no locks.
    """
    import polars as pl

    found = _grouped(rec, ["pid", "tid", "type"], pl.col("comm").last(), needs=("comm",))
    head = ["pid", "tid", "comm", "type"]
    return found.select(*head, pl.exclude(head))


def by_stack(rec: Recording) -> pl.DataFrame:
    """Return one row per stack and type of lock: stack_id, type, then as :func:`by_lock`.

    Raises
    ------
    MissingTableError
        The session holds no locks, or none with stacks.
    """
    return _grouped(rec, ["stack_id", "type"])


def blockers(rec: Recording) -> pl.DataFrame:
    """Return whom threads waited for: one row per owner, or else waker, and lock.

    Returns
    -------
    polars.DataFrame
        pid : u32
            Process of those that waited.
        type : str
        lock : u64
        owner_tid : u32
            Thread that held the lock when they began to wait; 0 where that is not known.
        waker_tid : u32
            Thread that ended their waits; 0 where that is not known.
        owner_comm, waker_comm : str
            Their last names, null where the session does not know them.
        waits : u64
        waited, p50, p99, max : duration[ns]
            Most time waited first, ties by ids.

    Raises
    ------
    MissingTableError
        The session holds no locks.
    """
    import polars as pl

    keys = ["pid", "type", "lock", "owner_tid", "waker_tid"]
    found = _grouped(rec, keys).filter(pl.col("waits") > 0)
    names = thread_names(rec)
    for who in ("owner", "waker"):
        named = names.rename({"tid": f"{who}_tid", "comm": f"{who}_comm"})
        found = found.join(named, on=f"{who}_tid", how="left", maintain_order="left")
    head = [*keys, "owner_comm", "waker_comm"]
    return found.select(*head, "waits", "waited", "p50", "p99", "max")


def stuck(rec: Recording) -> pl.DataFrame:
    """Return the waits that lasted still when the capture ended, longest first.

    Two threads that wait for locks of each other are a deadlock.

    Returns
    -------
    polars.DataFrame
        ts : datetime[ns, UTC]
        pid, tid : u32
        comm, type : str
        lock : u64
        owner_tid : u32
        waited : duration[ns]

    Raises
    ------
    MissingTableError
        The session holds no locks.
    """
    import polars as pl

    columns = ("ts", "pid", "tid", "comm", "type", "lock", "owner_tid")
    return (
        _events(rec, *columns, "open")
        .filter(pl.col("open") == 1)
        .sort("waited", "tid", descending=[True, False])
        .select(*columns, pl.col("waited").cast(pl.Duration("ns")))
        .collect()
    )
