"""Memory: what is allocated, what lives, what is never freed, what makes a process grow.

All functions work from the table ``memory``. Where allocations were sampled (``sample_bytes``),
counts and bytes are estimates: an allocation of n bytes was seen with probability
1 - exp(-n / sample_bytes), and its row's ``weight`` is the inverse of that, rounded at random so
that sums are right on average (as in the heap profiles of tcmalloc and Go).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.errors import ParameterError
from workbench.frames.allocations import EVENTS, with_ends
from workbench.frames.needs import need
from workbench.frames.stacks import COUNT

if TYPE_CHECKING:
    import polars as pl

    from workbench.recording import Recording


def _allocated(rec: Recording, *columns: str) -> pl.LazyFrame:
    """Allocations with ``freed`` (see :func:`with_ends`), and ``bytes`` by their weight."""
    import polars as pl

    weight = pl.col(COUNT).cast(pl.Int64)
    amount = (pl.col("size").cast(pl.Int64) * weight).alias("bytes")
    return with_ends(rec, "size", COUNT, *columns).with_columns(weight, amount)


def by_stack(rec: Recording) -> pl.DataFrame:
    """Return one row per stack that allocates.

    Parameters
    ----------
    rec : Recording
        Needs ``memory`` with the part ``heap``.

    Returns
    -------
    polars.DataFrame
        stack_id : u32
        allocations, bytes : i64
            All that were allocated there; of a sampled recording estimates.
        live, live_bytes : i64
            Those that were not freed before the recording, or their process, ended.
        lifetime : duration[ns]
            Median of those that were freed, null if none was. Most live bytes first.

    Raises
    ------
    MissingTableError
        The session holds no memory events.
    """
    return _grouped(rec, "stack_id")


def by_process(rec: Recording) -> pl.DataFrame:
    """Return one row per process: pid, then as :func:`by_stack`."""
    return _grouped(rec, "pid")


def _grouped(rec: Recording, key: str) -> pl.DataFrame:
    import polars as pl

    lives = pl.col("freed").is_null()
    lifetime = (pl.col("freed") - pl.col("born")).median().cast(pl.Duration("ns"))
    return (
        _allocated(rec, key)
        .group_by(key)
        .agg(
            pl.col(COUNT).sum().alias("allocations"),
            pl.col("bytes").sum(),
            pl.col(COUNT).filter(lives).sum().alias("live"),
            pl.col("bytes").filter(lives).sum().alias("live_bytes"),
            lifetime.alias("lifetime"),
        )
        .sort("live_bytes", "bytes", key, descending=[True, True, False])
        .collect()
    )


def live(rec: Recording, older_than: float = 0.0) -> pl.DataFrame:
    """Return the allocations that were not freed, oldest first.

    Parameters
    ----------
    rec : Recording
        Needs ``memory`` with the part ``heap``.
    older_than : float
        Seconds before the end of their process, or of the recording, at which they were made.

    Returns
    -------
    polars.DataFrame
        born : datetime[ns, UTC]
        age : duration[ns]
        pid, tid : u32
        address, size : u64
        weight : i64
        stack_id : u32

    Raises
    ------
    MissingTableError
        The session holds no memory events.
    ParameterError
        ``older_than`` is negative.
    """
    import polars as pl

    return (
        _aged(rec, older_than)
        .filter(pl.col("freed").is_null())
        .select("born", "age", "pid", "tid", "address", "size", COUNT, "stack_id")
        .sort("born", "address")
        .collect()
    )


def _aged(rec: Recording, older_than: float) -> pl.LazyFrame:
    """Allocations that are old enough, with ``age`` at the end of their process."""
    import polars as pl

    if older_than < 0:
        raise ParameterError(f"older_than must be seconds, not {older_than}.")
    exits = (
        need(rec, "processes", "ts", "pid", "tid", "event")
        .filter(pl.col("event").cast(pl.String) == "exit", pl.col("pid") == pl.col("tid"))
        .group_by("pid")
        .agg(pl.col("ts").max().alias("end"))
    )
    last = need(rec, EVENTS, "ts").select(pl.col("ts").cast(pl.Int64).max()).collect().item() or 0
    ends, born = pl.col("end").cast(pl.Int64).fill_null(last), pl.col("born").cast(pl.Int64)
    age = (ends - born).clip(lower_bound=0)
    return (
        _allocated(rec, "tid", "stack_id")
        .join(exits, on="pid", how="left")
        .with_columns(age.cast(pl.Duration("ns")).alias("age"))
        .filter(age >= round(older_than * 1e9))
    )


def leaks(
    rec: Recording, older_than: float = 0.0, at_least: int = 2, freed: float = 0.1
) -> pl.DataFrame:
    """Return the stacks whose allocations are not freed: candidates for leaks.

    What a program allocates once and keeps (the buffer of its standard output) is no leak, nor
    is what was allocated just before the end. So a stack is named if it has allocated
    ``at_least`` that often up to then, and at most the share ``freed`` of that was freed.

    Parameters
    ----------
    rec : Recording
        Needs ``memory`` with the part ``heap``, and ``processes``.
    older_than : float
        Seconds: later allocations do not count, see :func:`live`.
    at_least : int
        Allocations of the stack that count, as they were seen (not estimated).
    freed : float
        Share, 0 to 1.

    Returns
    -------
    polars.DataFrame
        stack_id : u32
        live, live_bytes : i64
            Estimates where allocations were sampled.
        seen : u32
            Allocations of the stack that were seen and count.
        freed : f64
            Share of them that was freed.
        oldest : duration[ns]
            Age of its oldest live allocation. Most live bytes first.

    Raises
    ------
    MissingTableError
        The session holds no memory events.
    ParameterError
    """
    import polars as pl

    if not 0 <= freed <= 1:
        raise ParameterError(f"freed must be a share from 0 to 1, not {freed}.")
    lives = pl.col("freed").is_null()
    return (
        _aged(rec, older_than)
        .group_by("stack_id")
        .agg(
            pl.col(COUNT).filter(lives).sum().alias("live"),
            pl.col("bytes").filter(lives).sum().alias("live_bytes"),
            pl.len().alias("seen"),
            (~lives).mean().alias("freed"),
            pl.col("age").filter(lives).max().alias("oldest"),
        )
        .filter(pl.col("seen") >= at_least, pl.col("freed") <= freed, pl.col("live") > 0)
        .sort("live_bytes", "stack_id", descending=[True, False])
        .collect()
    )


def growth(rec: Recording) -> pl.DataFrame:
    """Return one row per stack that maps memory or touches pages for the first time.

    Parameters
    ----------
    rec : Recording
        Needs ``memory`` with the part ``mappings`` or ``faults``.

    Returns
    -------
    polars.DataFrame
        stack_id : u32
        mapped, unmapped : i64
            Bytes of ``mmap`` and ``brk``, and of what gives them back.
        faults : i64
            Page faults of user code: each is a page that was touched and not there. Most
            mapped bytes first, then most faults.

    Raises
    ------
    MissingTableError
        The session holds no memory events.
    """
    import polars as pl

    op, size = pl.col("op").cast(pl.String), pl.col("size").cast(pl.Int64)
    return (
        need(rec, EVENTS, "op", "size", "stack_id")
        .filter(op.is_in(["map", "unmap", "fault"]))
        .group_by("stack_id")
        .agg(
            size.filter(op == "map").sum().alias("mapped"),
            size.filter(op == "unmap").sum().alias("unmapped"),
            (op == "fault").sum().cast(pl.Int64).alias("faults"),
        )
        .sort("mapped", "faults", "stack_id", descending=[True, True, False])
        .collect()
    )
