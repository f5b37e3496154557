"""Chains of wake-ups, put together from single runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl


def follow(runs: pl.DataFrame, names: pl.DataFrame, depth: int) -> pl.DataFrame:
    """Return the chains that end in runs after a wake-up.

    Parameters
    ----------
    runs : polars.DataFrame
        ts (when it got the CPU), latency and ran (ns), tid, waker, waker_tid, cause.
    names : polars.DataFrame
        tid, comm.
    depth : int
        Wake-ups at most.

    Returns
    -------
    polars.DataFrame
        See :func:`workbench.frames.sched.chains`.
    """
    import polars as pl

    got = pl.col("ts").dt.timestamp("ns")
    runs = runs.with_columns(got.alias("got"), (got - pl.col("latency")).alias("woken"))
    woken = runs.filter((pl.col("waker") != "none") & pl.col("latency").is_not_null())
    links = _named(woken, names)
    found = links.select(
        pl.concat_str(_name(names, links, "tid"), pl.lit(" ← "), "by").alias("chain"),
        pl.lit(1, pl.UInt32).alias("length"),
        "got",
        "woken",
        "waker_tid",
    )
    steps = links.select(
        pl.col("got").alias("began"), "tid", "by", "woken", pl.col("waker_tid").alias("next")
    ).sort("began")
    # A run that no wake-up began ends a chain: it has to be known, too.
    bare = runs.join(links.select("got", "tid"), on=["got", "tid"], how="anti").select(
        pl.col("got").alias("began"), "tid"
    )
    steps = pl.concat([steps, bare], how="diagonal").sort("began")
    finished = []
    for _ in range(depth - 1):
        reached = _step(found, steps)
        ends = pl.col("by").is_null()
        finished.append(reached.filter(ends).select(found.columns))
        found = reached.filter(~ends).select(
            pl.concat_str("chain", pl.lit(" ← "), "by").alias("chain"),
            pl.col("length") + 1,
            "got",
            pl.col("before").alias("woken"),
            pl.col("next").alias("waker_tid"),
        )
    return _counted(pl.concat([*finished, found]))


def _step(found: pl.DataFrame, steps: pl.DataFrame) -> pl.DataFrame:
    """Join each chain with the run in which its first waker was when it woke."""
    import polars as pl

    return found.sort("woken").join_asof(
        steps.select("began", pl.col("tid").alias("waker_tid"), "by", "next", before="woken"),
        left_on="woken",
        right_on="began",
        by="waker_tid",
        strategy="backward",
        check_sortedness=False,
    )


def _named(woken: pl.DataFrame, names: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    by = (
        pl.when(pl.col("waker_tid") == 0)
        .then(pl.lit("interrupt"))
        .otherwise(_name(names, woken, "waker_tid"))
    )
    return woken.with_columns(by.alias("by"))


def _name(names: pl.DataFrame, rows: pl.DataFrame, column: str) -> pl.Series:
    """Return the last name of each thread."""
    import polars as pl

    found = rows.select(pl.col(column).alias("tid")).join(
        names, on="tid", how="left", maintain_order="left"
    )
    return found.select(
        pl.coalesce("comm", pl.format("thread {}", "tid")).alias(f"name_{column}")
    ).to_series()


def _counted(found: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    took = pl.col("got") - pl.col("woken")
    return (
        found.group_by("chain", "length")
        .agg(
            pl.len().cast(pl.UInt64).alias("wakeups"),
            took.quantile(0.5, interpolation="equiprobable").cast(pl.Int64).alias("p50"),
            took.max().alias("max"),
        )
        .with_columns(pl.col("p50", "max").cast(pl.Duration("ns")))
        .sort("wakeups", "chain", descending=[True, False])
    )
