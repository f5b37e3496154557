"""Interrupts and softirqs: which ones came, how long they took, whom they interrupted.

All functions work from the table ``irq`` (one row for each) and, where the question can be answered
from counts, from ``irq_agg`` (counted in the kernel). When a session holds both, the single ones
are used. Interrupts are not of a process: a session has those that came while a thread of its
target had the CPU. The time of a softirq contains that of the interrupts on top of it.
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

EVENTS = "irq"
AGGREGATED = "irq_agg"
SOFTIRQS = (
    "hi", "timer", "net_tx", "net_rx", "block", "irq_poll", "tasklet", "sched", "hrtimer", "rcu",
)  # fmt: skip
"""Names of the softirqs by number: include/linux/interrupt.h."""
_KEY = ("type", "irq", "handler", "cpu", "pid")


def aggregated(rec: Recording) -> bool:
    """Return whether only counts from the kernel are known, not single interrupts."""
    return only_counted(rec, EVENTS, AGGREGATED)


def _rows(rec: Recording, table: str, *columns: str) -> pl.LazyFrame:
    """Return rows with ``name``: the device's handler, the softirq, or the type."""
    import polars as pl

    kind = pl.col("type").cast(pl.String)
    softirq = pl.col("irq").replace_strict(
        list(range(len(SOFTIRQS))), list(SOFTIRQS), default="softirq", return_dtype=pl.String
    )
    name = (
        pl.when(kind == "softirq")
        .then(softirq)
        .when((kind == "device") & (pl.col("handler") != ""))
        .then(pl.col("handler"))
        .otherwise(kind)
    )
    return need(rec, table, *_KEY, *columns).with_columns(name.alias("name"), kind.alias("type"))


def by_irq(rec: Recording) -> pl.DataFrame:
    """Return one row per interrupt and softirq.

    Parameters
    ----------
    rec : Recording
        Needs ``irq`` or ``irq_agg``.

    Returns
    -------
    polars.DataFrame
        type : str
            See :data:`workbench.event_texts.IRQ_TYPES`.
        irq : u16
            Number of the interrupt, softirq or vector.
        name : str
            The device's handler, the softirq, or the type.
        interrupts : u64
        taken, p50, p99, max : duration[ns]
            Sum, quantiles and maximum of the times that the handlers took; quantiles from
            ``irq_agg`` are interpolated within a power of two. Most time first, ties by number.

    Raises
    ------
    MissingTableError
        The session holds no interrupts.
    """
    return _by(rec, ["type", "irq", "name"])


def by_cpu(rec: Recording) -> pl.DataFrame:
    """Return one row per CPU, interrupt and softirq: cpu, then as :func:`by_irq`.

    Raises
    ------
    MissingTableError
        The session holds no interrupts.
    """
    return _by(rec, ["cpu", "type", "irq", "name"])


def by_process(rec: Recording) -> pl.DataFrame:
    """Return whom they interrupted: pid, comm (its main thread's), then as :func:`by_irq`.

    Raises
    ------
    MissingTableError
        The session holds no interrupts.
    """
    import polars as pl

    found = _by(rec, ["pid", "type", "irq", "name"])
    names = thread_names(rec).rename({"tid": "pid"})
    joined = found.join(names, on="pid", how="left", maintain_order="left")
    head = ["pid", "comm"]
    return joined.select(*head, pl.exclude(head))


def _by(rec: Recording, keys: list[str]) -> pl.DataFrame:
    import polars as pl

    found = _counted(rec, keys) if aggregated(rec) else _grouped(rec, keys)
    order = ["taken", *keys]
    return durations.in_durations(
        found.select(*keys, pl.col("interrupts").cast(pl.UInt64), "taken", "p50", "p99", "max"),
        "taken",
    ).sort(order, descending=[True, *[False] * len(keys)])


def _grouped(rec: Recording, keys: list[str]) -> pl.DataFrame:
    import polars as pl

    return (
        _rows(rec, EVENTS, "duration")
        .with_columns(pl.col("duration").cast(pl.Int64))
        .group_by(keys)
        .agg(pl.len().alias("interrupts"), *durations.figures("duration", "taken"))
        .collect()
    )


def _counted(rec: Recording, keys: list[str]) -> pl.DataFrame:
    import polars as pl

    times = ("duration_sum", "duration_max")
    rows = (
        _rows(rec, AGGREGATED, "interrupts", *times, "duration_hist")
        .with_columns(pl.col(times).cast(pl.Int64))
        .collect()
    )
    found = quantiles(rows, keys, "duration_hist")
    sums = rows.group_by(keys).agg(
        pl.col("interrupts").sum(),
        pl.col("duration_sum").sum().alias("taken"),
        pl.col("duration_max").max().alias("max"),
    )
    return found.join(sums, on=keys, how="left")
