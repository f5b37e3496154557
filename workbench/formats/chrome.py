"""Chrome trace (JSON): threads, spans and counters, for ui.perfetto.dev and chrome://tracing.

The Trace Event Format: complete events (``X``) for what a thread does, one thing within the
other; nestable asynchronous events (``b``, ``e``) for what overlaps; counters (``C``) and names
(``M``). Times are µs from the start of the session, with three decimals: whole nanoseconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

from workbench.errors import ExportError
from workbench.formats._json import dumps, put_all, put_rows
from workbench.formats.format import Format, event_tables
from workbench.frames.rates import rates
from workbench.frames.spans import SpanKind, span_kinds, spans
from workbench.frames.threads import threads
from workbench.schema import SIDE_TABLES

if TYPE_CHECKING:
    import polars as pl

    from workbench.recording import Recording


def write(rec: Recording, file: IO[bytes], table: str | None) -> None:
    """Write the spans of all tables, or of one, and how many events of each came when."""
    if table in SIDE_TABLES:
        raise ExportError(f"{table} holds no events.", advice="Name a table of events, or none.")
    tables = [rec[table].name] if table else [n for n in rec.tables if n not in SIDE_TABLES]
    kinds = span_kinds(rec, table)
    if "imported" in rec.manifest.target and not kinds:
        raise ExportError(
            f"{rec.path.name} has stacks but no spans, and chrome holds spans.",
            why="It was imported from a profile.",
            advice="Stacks are held by speedscope, firefox, pprof, folded and perfetto.",
        )
    other = {
        "start": rec.start.isoformat(),
        "start_ns": rec.manifest.start_ns,
        "session": rec.path.name,
        "workbench": rec.manifest.workbench,
    }
    head = {"displayTimeUnit": "ns", "otherData": other}
    file.write(dumps(head)[:-1] + b',"traceEvents":[\n')
    separator = put_all(file, _names(threads(rec, tables)), b"")
    for name in tables:
        separator = put_rows(file, _counter(rec, name), separator)
    for kind in kinds:
        for row, batch in _numbered(spans(rec, kind)):
            for events in _events(kind, batch, row, rec.manifest.start_ns):
                separator = put_rows(file, events, separator)
    file.write(b"\n]}\n")


def _names(table: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield the events that name processes and threads."""
    for pid, process in table.select("pid", "process").unique(maintain_order=True).iter_rows():
        yield {"ph": "M", "name": "process_name", "pid": pid, "tid": 0, "args": {"name": process}}
    for pid, tid, name, _ in table.iter_rows():
        yield {"ph": "M", "name": "thread_name", "pid": pid, "tid": tid, "args": {"name": name}}


def _counter(rec: Recording, table: str) -> pl.DataFrame:
    import polars as pl

    times, values = rates(rec, table)
    return pl.DataFrame({"ts": (times - rec.manifest.start_ns) / 1000, "value": values}).select(
        pl.lit("C").alias("ph"),
        pl.lit(f"{table}/s").alias("name"),
        pl.lit(0).alias("pid"),
        "ts",
        pl.struct("value").alias("args"),
    )


def _numbered(batches: Iterator[pl.DataFrame]) -> Iterator[tuple[int, pl.DataFrame]]:
    """Yield batches with the number of rows before each."""
    rows = 0
    for batch in batches:
        yield rows, batch
        rows += len(batch)


def _events(kind: SpanKind, batch: pl.DataFrame, row: int, start: int) -> Iterator[pl.DataFrame]:
    import polars as pl

    details = [name for name in kind.details if name in batch.columns]
    begin, end = (
        ((time.cast(pl.Int64) - start) / 1000).round(3)
        for time in (pl.col("ts"), pl.col("ts") + pl.col("duration"))
    )
    what = [pl.lit(kind.table).alias("cat"), pl.col("name"), pl.col("pid"), pl.col("tid")]
    args = pl.struct(details).alias("args")
    if kind.nested:
        span = (pl.col("duration") / 1000).round(3).alias("dur")
        yield batch.select(pl.lit("X").alias("ph"), *what, begin.alias("ts"), span, args)
        return
    number = pl.format(f"{kind.table}-{{}}", pl.int_range(pl.len()) + row).alias("id")
    yield batch.select(pl.lit("b").alias("ph"), *what, number, begin.alias("ts"), args)
    yield batch.select(pl.lit("e").alias("ph"), *what, number, end.alias("ts"))


FORMAT = Format(
    "chrome",
    ".trace.json",
    "spans and counters of threads: ui.perfetto.dev, Chrome",
    write,
    tables=event_tables,
)
