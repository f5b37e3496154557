"""Processes of a session: one row each, from the events that follow forks, execs and exits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.frames.needs import has, need

if TYPE_CHECKING:
    import polars as pl

    from workbench.recording import Recording

_COLUMNS = (
    "ts",
    "event",
    "pid",
    "tid",
    "ppid",
    "comm",
    "exe",
    "cmdline",
    "cgroup",
    "exit_code",
)


def processes(rec: Recording) -> pl.DataFrame:
    """Return one row per process.

    A pid that the kernel gave out again (a fork of the main thread after an earlier row) is
    another process.

    Parameters
    ----------
    rec : Recording
        Needs the table ``processes``.

    Returns
    -------
    polars.DataFrame
        pid, ppid : u32
        comm, exe, cmdline, cgroup : str
            As they were last known.
        threads : u32
            Different threads that were seen.
        started : datetime[ns, UTC]
            Time of the fork; null for processes that ran before the capture.
        ended : datetime[ns, UTC]
            Time of the exit; null for processes that outlived the capture.
        exit_status : i32
            0 to 255 (bits 8 to 15 of the wait status); null when a signal ended it.
        exit_signal : i32
            Signal that ended it (low 7 bits of the wait status, see wait(2)); null when none did.
            Sorted by first appearance, then pid.

    Raises
    ------
    MissingTableError
        The session holds no process table.
    """
    import polars as pl

    event, main = pl.col("event"), pl.col("tid") == pl.col("pid")
    rows = (
        need(rec, "processes", *_COLUMNS)
        .with_columns(event.cast(pl.String))
        .sort("ts", maintain_order=True)
        .with_columns((main & (event == "fork")).cum_sum().over("pid").alias("life"))
        .collect()
    )
    texts = ("exe", "cmdline", "cgroup")
    ended = event == "exit"
    status = pl.col("exit_code").filter(ended & main).last()
    return (
        rows.lazy()
        .group_by("pid", "life")
        .agg(
            pl.col("ppid").last(),
            _preferred(pl.col("comm"), main),
            *(_preferred(pl.col(text), main & (pl.col(text) != "")) for text in texts),
            pl.col("tid").n_unique().cast(pl.UInt32).alias("threads"),
            pl.col("ts").filter(main & (event == "fork")).first().alias("started"),
            pl.col("ts").filter(ended & main).last().alias("ended"),
            status.alias("status"),
            pl.col("ts").first().alias("first"),
        )
        .sort("first", "pid")
        .select(
            "pid",
            "ppid",
            "comm",
            *texts,
            "threads",
            "started",
            "ended",
            *exit_columns(pl.col("status")),
        )
        .collect()
    )


def thread_names(rec: Recording) -> pl.DataFrame:
    """Return the last name of each thread that ``processes`` tells of.

    Returns
    -------
    polars.DataFrame
        tid : u32
        comm : str
            One row per thread; none where the session holds no process table.
    """
    import polars as pl

    if not has(rec, "processes"):
        return pl.DataFrame(schema={"tid": pl.UInt32, "comm": pl.String})
    rows = need(rec, "processes", "ts", "tid", "comm").sort("ts")
    return rows.group_by("tid").agg(pl.col("comm").cast(pl.String).last()).collect()


def with_comm(rec: Recording, table: str, found: pl.DataFrame) -> pl.DataFrame:
    """Return rows by process with its name behind ``pid``: the last one in a table.

    Parameters
    ----------
    rec : Recording
    table : str
        With ``pid`` and ``comm``.
    found : polars.DataFrame
        With ``pid``.

    Raises
    ------
    MissingTableError
        The session lacks the table or a column.
    """
    import polars as pl

    names = need(rec, table, "pid", "comm").group_by("pid").agg(pl.col("comm").last())
    named = found.join(names.collect(), on="pid", how="left", maintain_order="left")
    return named.select("pid", pl.col("comm").cast(pl.String), pl.exclude("pid", "comm"))


def _preferred(column: pl.Expr, wanted: pl.Expr) -> pl.Expr:
    """Return the last value of the wanted rows, else the last of all."""
    import polars as pl

    return pl.coalesce(column.filter(wanted).last(), column.last())


def exit_columns(status: pl.Expr) -> tuple[pl.Expr, pl.Expr]:
    """Return a wait status as exit_status and exit_signal, see :func:`processes`."""
    return (
        _when_signal(status, signal=False).alias("exit_status"),
        _when_signal(status, signal=True).alias("exit_signal"),
    )


def _when_signal(status: pl.Expr, *, signal: bool) -> pl.Expr:
    """Return the signal number or the exit status of a wait status, null for the other."""
    import polars as pl

    number = status % 128
    if signal:
        return pl.when(number != 0).then(number).cast(pl.Int32)
    return pl.when(number == 0).then(status // 256 % 256).cast(pl.Int32)
