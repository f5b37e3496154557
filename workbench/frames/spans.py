"""What has a beginning and an end, as spans: what timelines and traces are made of.

System calls, time off the CPU, processes, HTTP requests and DNS queries, batch by batch in the
order of writing, so that a session larger than memory can be written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.frames.needs import has

if TYPE_CHECKING:
    import polars as pl

    from workbench.recording import Recording


_ROWS = 1 << 16
"""Spans of a batch at most."""


@dataclass(frozen=True)
class SpanKind:
    """Spans of one table.

    Parameters
    ----------
    table : str
        Its name.
    meaning : str
        One span, for people.
    nested : bool
        Whether spans of a thread lie beside or within each other: a thread makes one system call
        at a time, but may wait for many answers.
    select : callable
        Returns the condition for rows to be a span, then the expressions of ``ts`` (its
        beginning, ns UTC), ``duration`` (ns) and ``name``, from columns of which times are
        integers and texts are strings.
    needed : tuple of str
        Columns of the table that these use.
    details : tuple of str
        Columns that say more of it; what a table lacks of them is left out.
    """

    table: str
    meaning: str
    nested: bool
    select: Callable[[], tuple[pl.Expr, pl.Expr, pl.Expr, pl.Expr]]
    needed: tuple[str, ...]
    details: tuple[str, ...]


def _syscalls() -> tuple[pl.Expr, pl.Expr, pl.Expr, pl.Expr]:
    import polars as pl

    return pl.lit(True), pl.col("ts"), pl.col("latency"), pl.col("name")


def _offcpu() -> tuple[pl.Expr, pl.Expr, pl.Expr, pl.Expr]:
    import polars as pl

    off = pl.col("blocked") + pl.col("runnable")
    return pl.lit(True), pl.col("ts"), off, pl.format("off-CPU: {}", "state")


def _exec() -> tuple[pl.Expr, pl.Expr, pl.Expr, pl.Expr]:
    import polars as pl

    ended, age = pl.col("event") == "exit", pl.col("duration")
    return ended, pl.col("ts") - age, age, pl.col("comm")


def _http() -> tuple[pl.Expr, pl.Expr, pl.Expr, pl.Expr]:
    import polars as pl

    known = (pl.col("message") == "answer") & (pl.col("latency") > 0)
    name = pl.format("{} {}", pl.col("method").str.to_uppercase(), "path")
    return known, pl.col("ts") - pl.col("latency"), pl.col("latency"), name


def _dns() -> tuple[pl.Expr, pl.Expr, pl.Expr, pl.Expr]:
    import polars as pl

    known = (pl.col("message") == "answer") & (pl.col("latency") > 0)
    name = pl.format("{} {}", "qtype", "qname")
    return known, pl.col("ts") - pl.col("latency"), pl.col("latency"), name


KINDS = (
    SpanKind(
        "syscalls", "system call", True, _syscalls, ("ts", "latency", "name"), ("ret", "errno")
    ),
    SpanKind(
        "offcpu",
        "time off the CPU",
        True,
        _offcpu,
        ("ts", "blocked", "runnable", "state"),
        ("blocked", "runnable", "waker", "waker_pid", "waker_tid"),
    ),
    SpanKind(
        "exec",
        "process",
        False,
        _exec,
        ("ts", "event", "duration", "comm"),
        ("ppid", "exit_code"),
    ),
    SpanKind(
        "http",
        "HTTP request",
        False,
        _http,
        ("ts", "message", "latency", "method", "path"),
        ("status", "direction"),
    ),
    SpanKind(
        "dns",
        "DNS query",
        False,
        _dns,
        ("ts", "message", "latency", "qtype", "qname"),
        ("rcode", "direction"),
    ),
)


def span_kinds(rec: Recording, table: str | None = None) -> list[SpanKind]:
    """Return the kinds of spans that a session holds, or those of one table."""
    return [kind for kind in KINDS if has(rec, kind.table) and table in (None, kind.table)]


def spans(rec: Recording, kind: SpanKind) -> Iterator[pl.DataFrame]:
    """Yield the selected spans of a kind, in the order of writing.

    Spans begin with the session at the earliest: what a process did before does not stretch the
    time line by days.

    Yields
    ------
    polars.DataFrame
        At most 65,536 rows.

        ts, duration, pid, tid : i64
            Times in ns, UTC.
        name : str
        stack_id : u32
            Where the table has one.
        Then the details of the kind that the table has: integers (times in ns) or texts.

    Raises
    ------
    MissingTableError
        The table lacks a column.
    """
    import polars as pl

    from workbench.frames.needs import need

    need(rec, kind.table, "pid", "tid", *kind.needed)
    names = rec[kind.table].schema.names
    more = [name for name in ("stack_id", *kind.details) if name in names]
    wanted = list(dict.fromkeys(("pid", "tid", *kind.needed, *more)))
    keep, ts, duration, name = kind.select()
    start = rec.manifest.start_ns
    begin = pl.max_horizontal(ts, start)
    for frame in _slices(rec, kind.table, wanted):
        yield frame.filter(keep).select(
            begin.cast(pl.Int64).alias("ts"),
            (duration - (begin - ts)).clip(lower_bound=0).cast(pl.Int64).alias("duration"),
            pl.col("pid", "tid").cast(pl.Int64).fill_null(0),
            name.fill_null("").alias("name"),
            *more,
        )


def _slices(rec: Recording, table: str, columns: list[str]) -> Iterator[pl.DataFrame]:
    """Yield a table in parts of bounded size: a row group may have half a million rows."""
    import polars as pl

    for batch in rec[table].batches(columns):
        for part in pl.DataFrame(batch).iter_slices(_ROWS):
            yield _plain(part)


def _plain(frame: pl.DataFrame) -> pl.DataFrame:
    """Return times as integers and dictionaries as strings."""
    import polars as pl
    from polars import selectors as cs

    times: Any = cs.temporal()
    return frame.with_columns(
        times.cast(pl.Int64),
        (cs.categorical() | cs.enum()).cast(pl.String),
    )
