"""Signals: how many, from whom to whom, what became of them, how long they waited.

All functions work from the table ``signals``: one row for each signal that was generated, and one
for each that was delivered. One that ends a process is delivered as SIGKILL, whatever was sent, and
those that are taken by sigwait() or a signalfd are never delivered.
"""

from __future__ import annotations

import signal as numbers
from typing import TYPE_CHECKING

from workbench.frames import durations
from workbench.frames.needs import need
from workbench.frames.processes import thread_names

if TYPE_CHECKING:
    import polars as pl

    from workbench.recording import Recording

EVENTS = "signals"
_TEXTS = ("event", "result", "action", "context")


def signal_name(number: int) -> str:
    """Return the name of a signal, as this host numbers them; ``SIGRTMIN+n`` of real-time ones.

    The C library keeps the first two of the kernel's real-time signals, from 32 on, for itself.
    """
    if numbers.SIGRTMIN <= number <= numbers.SIGRTMAX:
        above = number - numbers.SIGRTMIN
        return f"SIGRTMIN+{above}" if above else "SIGRTMIN"
    try:
        return numbers.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _events(rec: Recording, *columns: str) -> pl.LazyFrame:
    """Return the events with ``name``, texts as strings, latency in ns, null where not known."""
    import polars as pl

    wanted = dict.fromkeys((*columns, "event", "result", "signal", "latency"))
    texts = [name for name in _TEXTS if name in wanted]
    known = list(range(256))
    latency = pl.col("latency").cast(pl.Int64)
    return need(rec, EVENTS, *wanted).with_columns(
        pl.col(texts).cast(pl.String),
        pl.when(latency > 0).then(latency).alias("latency"),
        pl.col("signal")
        .replace_strict(known, [signal_name(n) for n in known], default="?", return_dtype=pl.String)
        .alias("name"),
    )


def _figures() -> list[pl.Expr]:
    import polars as pl

    sent, result = pl.col("event") == "generated", pl.col("result")
    counts = {
        "generated": sent,
        "ignored": result == "ignored",
        "already_pending": result == "already_pending",
        "lost": result == "overflow_fail",
        "delivered": ~sent,
    }
    return [
        *(found.sum().cast(pl.UInt64).alias(name) for name, found in counts.items()),
        *durations.figures("latency"),
    ]


def by_signal(rec: Recording) -> pl.DataFrame:
    """Return one row per signal.

    Parameters
    ----------
    rec : Recording
        Needs ``signals``.

    Returns
    -------
    polars.DataFrame
        signal : u16
        name : str
        generated : u64
            Of these
        ignored, already_pending, lost : u64
            were not queued: the receiver ignores it; it waited already; no memory for it.
        delivered : u64
        p50, p99, max : duration[ns]
            From generation to delivery, where both were seen. Most generated first, ties by number.

    Raises
    ------
    MissingTableError
        The session holds no signals.
    """
    found = _events(rec).group_by("signal", "name").agg(*_figures()).drop("total").collect()
    order = ["generated", "delivered", "signal"]
    return durations.in_durations(found).sort(order, descending=[True, True, False])


def by_pair(rec: Recording) -> pl.DataFrame:
    """Return who sent what to whom: one row per signal, sending process and receiving process.

    Returns
    -------
    polars.DataFrame
        name : str
        sender_pid : u32
            0 for timers and devices, and where it is not known.
        sender_comm : str
            Last name of its main thread; null where the session does not know it.
        pid : u32
        comm : str
            The receiver, its last name.
        generated, ignored, already_pending, lost, delivered : u64
        p50, p99, max : duration[ns]
            As :func:`by_signal`. Most generated first, ties by name and ids.

    Raises
    ------
    MissingTableError
        The session holds no signals.
    """
    import polars as pl

    keys = ["name", "sender_pid", "pid"]
    found = _events(rec, *keys[1:]).group_by(keys).agg(*_figures()).drop("total").collect()
    names = thread_names(rec)
    for key, column in (("sender_pid", "sender_comm"), ("pid", "comm")):
        found = found.join(names.rename({"tid": key, "comm": column}), on=key, how="left")
    head = ["name", "sender_pid", "sender_comm", "pid", "comm"]
    order = ["generated", "delivered", *keys]
    return (
        durations.in_durations(found)
        .select(*head, pl.exclude(head))
        .sort(order, descending=[True, True, False, False, False])
    )


def slowest(rec: Recording, n: int = 20) -> pl.DataFrame:
    """Return the ``n`` deliveries that waited longest, longest first.

    Returns
    -------
    polars.DataFrame
        ts : datetime[ns, UTC]
        pid, tid : u32
        comm, name, action : str
        latency : duration[ns]
        sender_pid, sender_tid : u32

    Raises
    ------
    MissingTableError
        The session holds no signals.
    """
    import polars as pl

    columns = ("ts", "pid", "tid", "comm", "action", "sender_pid", "sender_tid")
    found = _events(rec, *columns).filter(pl.col("event") == "delivered").drop_nulls("latency")
    return (
        found.sort("latency", "ts", descending=[True, False])
        .head(n)
        .select(
            *columns[:3],
            pl.col("comm").cast(pl.String),
            "name",
            "action",
            pl.col("latency").cast(pl.Duration("ns")),
            *columns[5:],
        )
        .collect()
    )
