"""Processes as a tree: who started whom, with which arguments, how long it lived, how it ended.

All functions work from the table ``exec``: one row for each fork, program executed or not found,
and exit.
"""

from __future__ import annotations

import errno as errno_names
from typing import TYPE_CHECKING

from workbench.frames.needs import need
from workbench.frames.processes import exit_columns

if TYPE_CHECKING:
    import polars as pl

    from workbench.recording import Recording

EVENTS = "exec"
_COLUMNS = ("ts", "event", "pid", "ppid", "comm", "filename", "cmdline", "duration", "exit_code")


def tree(rec: Recording) -> pl.DataFrame:
    """Return one row per process, each followed by its children.

    A pid that the kernel gave out again (a later fork) is another process.

    Parameters
    ----------
    rec : Recording
        Needs ``exec``.

    Returns
    -------
    polars.DataFrame
        depth : u32
            0 for processes whose parent is not among them.
        name : str
            Its last name, indented by two blanks for each level.
        pid, ppid : u32
            The parent at its fork, or when it was first seen.
        filename, cmdline : str
            Of the last program that it executed; null if it executed none.
        started : datetime[ns, UTC]
            Time of the fork, null for processes that ran before the capture.
        ended : datetime[ns, UTC]
            Null for processes that outlived the capture.
        duration : duration[ns]
            Its whole life, also before the capture; null without an end.
        programs, failed : u32
            Calls of execve that succeeded, and that failed.
        exit_status, exit_signal : i32
            See :func:`workbench.frames.processes.processes`.

    Raises
    ------
    MissingTableError
        The session holds no such events.
    """
    import polars as pl

    return _in_order(_lives(rec)).select(
        pl.col("path").list.len().cast(pl.UInt32).sub(1).alias("depth"),
        (
            pl.lit("  ").repeat_by(pl.col("path").list.len() - 1).list.join("") + pl.col("comm")
        ).alias("name"),
        "pid",
        "ppid",
        "filename",
        "cmdline",
        "started",
        "ended",
        "duration",
        "programs",
        "failed",
        *exit_columns(pl.col("status")),
    )


def _lives(rec: Recording) -> pl.DataFrame:
    """Return one row per process, oldest first, with ``number`` and ``first``, when it was seen."""
    import polars as pl

    event = pl.col("event")
    program, ended = event == "exec", event == "exit"
    rows = (
        need(rec, EVENTS, *_COLUMNS)
        .with_columns(pl.col("event", "comm").cast(pl.String))
        .sort("ts", maintain_order=True)
        .with_columns((event == "fork").cum_sum().over("pid").alias("life"))
    )
    return (
        rows.group_by("pid", "life")
        .agg(
            pl.col("ts").first().alias("first"),
            pl.col("ppid").first(),
            pl.col("comm").last(),
            pl.col("filename", "cmdline").filter(program).last(),
            pl.col("ts").filter(event == "fork").first().alias("started"),
            pl.col("ts").filter(ended).last().alias("ended"),
            pl.col("duration").filter(ended).last(),
            program.sum().cast(pl.UInt32).alias("programs"),
            (event == "failed").sum().cast(pl.UInt32).alias("failed"),
            pl.col("exit_code").filter(ended).last().alias("status"),
        )
        .sort("first", "pid")
        .with_row_index("number")
        .collect()
    )


def _in_order(lives: pl.DataFrame) -> pl.DataFrame:
    """Return the processes, each followed by its children; ``path`` has the numbers from its root.

    A parent is the process that had the number when the child was first seen.
    """
    import polars as pl

    parents = lives.select("first", pl.col("pid").alias("ppid"), pl.col("number").alias("parent"))
    found = lives.join_asof(
        parents, on="first", by="ppid", allow_exact_matches=False, check_sortedness=False
    )
    own = pl.concat_list("number")
    level = found.filter(pl.col("parent").is_null()).with_columns(own.alias("path"))
    levels = [level]
    while level.height:
        above = level.select(pl.col("number").alias("parent"), pl.col("path").alias("above"))
        level = (
            found.join(above, on="parent")
            .with_columns(pl.concat_list("above", own).alias("path"))
            .drop("above")
        )
        levels.append(level)
    ordered = pl.concat(levels)
    key = pl.col("path").list.eval(pl.element().cast(pl.String).str.zfill(10)).list.join("/")
    return ordered.sort(key)


def failures(rec: Recording) -> pl.DataFrame:
    """Return one row per program that could not be executed, and error.

    Returns
    -------
    polars.DataFrame
        filename : str
            Path that execve was called with: a shell tries each folder of PATH.
        error : str
            Name of the error, such as "ENOENT".
        calls : u32
            Most first, ties by name.

    Raises
    ------
    MissingTableError
        The session holds no such events.
    """
    import polars as pl

    names = list(errno_names.errorcode.items())
    error = pl.col("errno").replace_strict(
        [number for number, _ in names],
        [name for _, name in names],
        default=pl.format("errno {}", "errno"),
        return_dtype=pl.String,
    )
    return (
        need(rec, EVENTS, "event", "filename", "errno")
        .filter(pl.col("event").cast(pl.String) == "failed")
        .group_by("filename", error.alias("error"))
        .agg(pl.len().alias("calls"))
        .sort("calls", "filename", "error", descending=[True, False, False])
        .collect()
    )
