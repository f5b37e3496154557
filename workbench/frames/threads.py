"""Names of the threads and processes that an export speaks of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.frames.needs import has, need

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from workbench.recording import Recording


def threads(rec: Recording, tables: Sequence[str]) -> pl.DataFrame:
    """Return the threads that have selected rows in tables.

    Parameters
    ----------
    rec : Recording
    tables : sequence of str
        Those without ``tid`` tell of those in :func:`named_threads`, or of none; without ``pid``
        their process is 0, as where a row tells of none.

    Returns
    -------
    polars.DataFrame
        pid, tid : i64
        name : str
            Its last name: in the tables, else in ``processes``, else "thread TID".
        process : str
            Name of its main thread, or of its first one where the selection leaves that out.
            Sorted by pid, tid.

    Raises
    ------
    MissingTableError
        A table is missing.
    """
    import polars as pl

    parts = [_threads(rec, name) for name in tables]
    schema = {"pid": pl.Int64, "tid": pl.Int64, "name": pl.String, "last": pl.Int64}
    seen = pl.concat([pl.DataFrame(schema=schema), *(part for part in parts if part is not None)])
    found = (
        seen.sort("last")
        .group_by("pid", "tid")
        .agg(pl.col("name").drop_nulls().last())
        .join(_known(rec), on="tid", how="left")
        .with_columns(
            pl.coalesce("name", "comm", pl.format("thread {}", "tid")).alias("name"),
        )
        .join(_known(rec).rename({"tid": "pid", "comm": "main"}), on="pid", how="left")
        .sort("pid", "tid")
    )
    own = pl.col("name").filter(pl.col("tid") == pl.col("pid")).first().over("pid")
    process = pl.coalesce("main", own, pl.col("name").first().over("pid"))
    return found.select("pid", "tid", "name", process.alias("process"))


def _threads(rec: Recording, table: str) -> pl.DataFrame | None:
    import polars as pl

    names = need(rec, table, "ts").collect_schema() and rec[table].schema.names
    if "tid" not in names:
        return _of_names(rec, table)
    who = [name for name in ("pid", "tid", "comm") if name in names]
    pid = pl.col("pid") if "pid" in names else pl.lit(0)
    comm = pl.col("comm").cast(pl.String) if "comm" in names else pl.lit(None, pl.String)
    last = pl.col("ts").cast(pl.Int64).max().alias("last")
    # Batch by batch: memory goes by the number of threads and names, not of rows. polars would
    # read many batches ahead.
    seen = None
    for batch in rec[table].batches(["ts", *who]):
        part = (
            pl.DataFrame(batch)
            .group_by(who)
            .agg(last)
            .select(
                pid.cast(pl.Int64).fill_null(0).alias("pid"),
                pl.col("tid").cast(pl.Int64).fill_null(0),
                comm.replace("", None).alias("name"),
                "last",
            )
        )
        both = part if seen is None else pl.concat([seen, part])
        seen = both.group_by("pid", "tid", "name").agg(pl.col("last").max())
    if seen is None:
        return None
    return (
        seen.sort("last", "name")
        .group_by("pid", "tid")
        .agg(pl.col("name").drop_nulls().last(), pl.col("last").max())
    )


def named_threads(rec: Recording, table: str) -> pl.DataFrame | None:
    """Return numbers for threads that are known by their names alone.

    Other tools' files may tell threads apart by name, and their samples have no ``tid`` then.

    Parameters
    ----------
    rec : Recording
    table : str

    Returns
    -------
    polars.DataFrame or None
        comm : str
            "" for samples without a name.
        tid : i64
            From 1, in the order of the names.
        None where the table has a ``tid``, no names or no stacks.
    """
    import polars as pl

    names = rec[table].schema.names
    if "tid" in names or not {"comm", "stack_id"} <= set(names):
        return None
    found = pl.Series("comm", [], dtype=pl.String)
    for batch in rec[table].batches(["comm"]):
        part = pl.DataFrame(batch)["comm"].unique().cast(pl.String).fill_null("")
        found = pl.concat([found, part]).unique()
    return found.sort().to_frame().with_row_index("tid", 1).cast({"tid": pl.Int64})


def _of_names(rec: Recording, table: str) -> pl.DataFrame | None:
    import polars as pl

    found = named_threads(rec, table)
    if found is None:
        return None
    name = pl.when(pl.col("comm") == "").then(pl.lit(table)).otherwise("comm").alias("name")
    zero = pl.lit(0, pl.Int64)
    if "pid" in rec[table].schema.names:
        pairs = pl.DataFrame(schema={"pid": pl.Int64, "comm": pl.String})
        for batch in rec[table].batches(["pid", "comm"]):
            part = pl.DataFrame(batch).select(
                pl.col("pid").cast(pl.Int64).fill_null(0), pl.col("comm").cast(pl.String)
            )
            pairs = pl.concat([pairs, part.with_columns(pl.col("comm").fill_null(""))]).unique()
        found = pairs.join(found, on="comm").sort("pid", "tid")
    else:
        found = found.with_columns(zero.alias("pid"))
    return found.select("pid", "tid", name, zero.alias("last"))


def _known(rec: Recording) -> pl.DataFrame:
    """Return the last name of each thread, from the whole session."""
    import polars as pl

    if not has(rec, "processes"):
        return pl.DataFrame(schema={"tid": pl.Int64, "comm": pl.String})
    rows = need(rec, "processes", "ts", "tid", "comm").sort("ts")
    comm = pl.col("comm").cast(pl.String).replace("", None).drop_nulls().last()
    return rows.group_by(pl.col("tid").cast(pl.Int64)).agg(comm).collect()
