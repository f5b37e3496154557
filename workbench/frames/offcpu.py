"""Time off the CPU: how long threads waited, for what, and who woke them.

All functions work from the table ``offcpu``: one row for each time that a thread left the CPU. A
period is *blocked* until the wake-up and *runnable* from there until the thread runs; *off* is
both together. Times count as often as the row's ``weight`` says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.frames.needs import need
from workbench.frames.processes import thread_names
from workbench.frames.quantiles import quantile
from workbench.frames.stacks import COUNT

if TYPE_CHECKING:
    import polars as pl

    from workbench.recording import Recording

EVENTS = "offcpu"
TIMES = ("off", "blocked", "runnable")
_INPUT = ("blocked", "runnable", COUNT)


def _periods(rec: Recording, *columns: str) -> pl.LazyFrame:
    """Return the periods with ``off``; times are integers, in ns, and texts are strings."""
    import polars as pl

    wanted = dict.fromkeys((*columns, *_INPUT))
    texts = [name for name in ("comm", "state", "waker") if name in wanted]
    return need(rec, EVENTS, *wanted).with_columns(
        pl.col("blocked", "runnable", COUNT).cast(pl.Int64),
        (pl.col("blocked").cast(pl.Int64) + pl.col("runnable").cast(pl.Int64)).alias("off"),
        pl.col(texts).cast(pl.String),
    )


def _grouped(rec: Recording, *keys: str, last: str = "") -> pl.DataFrame:
    """Return one row per key: periods, the times, quantiles of ``off``; most time first.

    The newest value of the column ``last`` goes with the keys.
    """
    import polars as pl

    weight, off = pl.col(COUNT), pl.col("off")
    periods = _periods(rec, *keys, *([last, "ts"] if last else []))
    weighted = not periods.select((weight == 1).all()).collect().item()
    found = (
        periods.group_by(*keys)
        .agg(
            *([pl.col(last).sort_by("ts").last()] if last else []),
            weight.sum().cast(pl.UInt64).alias("periods"),
            *((pl.col(time) * weight).sum() for time in TIMES),
            quantile(off, weight, 0.50, weighted=weighted).alias("p50"),
            quantile(off, weight, 0.99, weighted=weighted).alias("p99"),
            off.max().alias("max"),
        )
        .collect()
    )
    durations = pl.col(*TIMES, "p50", "p99", "max").cast(pl.Int64).cast(pl.Duration("ns"))
    orders = [True, *[False] * len(keys)]
    return found.with_columns(durations).sort("off", *keys, descending=orders)


def by_state(rec: Recording) -> pl.DataFrame:
    """Return one row per reason to leave the CPU.

    Parameters
    ----------
    rec : Recording
        Needs ``offcpu`` (state, blocked, runnable, weight).

    Returns
    -------
    polars.DataFrame
        state : str
            See :data:`workbench.event_texts.OFF_STATES`.
        periods : u64
        off, blocked, runnable : duration[ns]
            Sums over all threads.
        p50, p99, max : duration[ns]
            Of ``off``: periods that occurred. Most time first, ties by state.

    Raises
    ------
    MissingTableError
        The session holds no off-CPU time.
    """
    return _grouped(rec, "state")


def by_thread(rec: Recording) -> pl.DataFrame:
    """Return one row per thread: pid, tid, comm (its last one), then as :func:`by_state`.

    Raises
    ------
    MissingTableError
        The session holds no off-CPU time.
    """
    return _grouped(rec, "pid", "tid", last="comm")


def by_stack(rec: Recording) -> pl.DataFrame:
    """Return one row per stack: stack_id, then as :func:`by_state`.

    Raises
    ------
    MissingTableError
        The session holds no off-CPU time.
    """
    return _grouped(rec, "stack_id")


def wakers(rec: Recording) -> pl.DataFrame:
    """Return one row per thread that woke others, and per context in which it did.

    Returns
    -------
    polars.DataFrame
        waker : str
            See :data:`workbench.event_texts.WAKER_CONTEXTS`; periods without a wake-up are left
            out.
        waker_pid, waker_tid : u32
            0 for interrupts.
        waker_comm : str
            Its last name; null where the session does not know the thread.
        periods : u64
            Wake-ups; then times as in :func:`by_state`.

    Raises
    ------
    MissingTableError
        The session holds no off-CPU time.
    """
    import polars as pl

    found = _grouped(rec, "waker", "waker_pid", "waker_tid").filter(pl.col("waker") != "none")
    names = thread_names(rec).rename({"tid": "waker_tid", "comm": "waker_comm"})
    head = ["waker", "waker_pid", "waker_tid", "waker_comm"]
    joined = found.join(names, on="waker_tid", how="left", maintain_order="left")
    return joined.select(*head, pl.exclude(head))


def longest(rec: Recording, n: int = 20) -> pl.DataFrame:
    """Return the ``n`` longest periods, longest first, with ``off`` beside their own columns.

    Returns
    -------
    polars.DataFrame
        ts : datetime[ns, UTC]
        pid, tid : u32
        comm, state, waker : str
        off, blocked, runnable : duration[ns]
        waker_pid, waker_tid, stack_id : u32

    Raises
    ------
    MissingTableError
        The session holds no off-CPU time.
    """
    import polars as pl

    columns = ("ts", "pid", "tid", "comm", "state")
    rest = ("waker", "waker_pid", "waker_tid", "stack_id")
    return (
        _periods(rec, *columns, *rest)
        .sort("off", "ts", "tid", descending=[True, False, False])
        .head(n)
        .select(*columns, pl.col(*TIMES).cast(pl.Duration("ns")), *rest)
        .collect()
    )


def places(
    rec: Recording, stacks: pl.Series, depth: int = 3, *, python: bool = False
) -> dict[int, str]:
    """Return where stacks are, for people: their innermost functions outside of the kernel.

    Parameters
    ----------
    rec : Recording
        Needs ``stacks`` and ``frames``.
    stacks : polars.Series
        Stack ids.
    depth : int
        How many functions to name.
    python : bool
        Name only the Python functions of stacks that have some.

    Returns
    -------
    dict of int to str
        ``callee ← caller ← ...`` by stack id. Stacks that are only in the kernel have its
        functions, those without any frame are missing.
    """
    import polars as pl

    chosen = (
        need(rec, "stacks", "stack_id", "frame_ids")
        .filter(pl.col("stack_id").is_in(stacks.drop_nulls().unique().implode()))
        .collect()
        .explode("frame_ids")
        .drop_nulls()
    )
    kernel = pl.col("kind").cast(pl.String) == "kernel"
    names = need(rec, "frames", "frame_id", "function", "kind").collect()
    found = chosen.join(
        names, left_on="frame_ids", right_on="frame_id", how="left", maintain_order="left"
    ).with_columns(kernel.fill_null(False).alias("kernel"))
    outside = found.filter(~pl.col("kernel") | pl.col("kernel").all().over("stack_id"))
    if python:
        mine = pl.col("kind").cast(pl.String) == "python"
        mine = mine.fill_null(False)
        outside = outside.filter(mine | ~mine.any().over("stack_id"))
    texts = outside.group_by("stack_id", maintain_order=True).agg(
        pl.col("function").fill_null("[unknown]").head(depth).str.join(" ← ")
    )
    return dict(texts.iter_rows())
