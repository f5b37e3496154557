"""Traces: the spans of a session, table by table, slice by slice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.formats.otlp.slices import slices
from workbench.formats.otlp.traces import network_spans as network
from workbench.formats.otlp.traces import spans
from workbench.formats.otlp.traces import thread_spans as threads
from workbench.formats.otlp.traces.connections import TCP, connections
from workbench.formats.otlp.traces.process_spans import process_spans
from workbench.frames.needs import has

if TYPE_CHECKING:
    import pyarrow as pa

    from workbench.formats.otlp.lives import People
    from workbench.recording import Recording

Make = Callable[["People", "pa.RecordBatch"], spans.Spans | None]


@dataclass(frozen=True)
class Source:
    """A table of which every row, or every row of a sort, is a span by itself.

    Parameters
    ----------
    columns : tuple of str
        Columns that are read.
    make : callable
        (people, rows) to spans, None for no span.
    """

    columns: tuple[str, ...]
    make: Make


SOURCES = {
    "syscalls": Source(threads.SYSCALLS, threads.syscalls),
    "offcpu": Source(threads.OFFCPU, threads.offcpu),
    "locks": Source(threads.LOCKS, threads.locks),
    "tcp": Source(TCP, connections),
}
"""How tables become spans; processes, HTTP and DNS need more than one row at a time."""
PAIRED = {"http": network.HTTP, "dns": network.DNS}
"""Tables in which a request and its answer are a row each."""
OPTIONAL = {"comm", "cpu", "weight", "open", "waker_pid", "waker_tid"}
"""Columns that spans can do without."""


def complete(rec: Recording, table: str) -> bool:
    """Return whether a session has a table with all that its spans need.

    Sessions that were imported from a profile may have tables of that name with fewer columns.
    """
    if not has(rec, table):
        return False
    source = SOURCES.get(table) or PAIRED[table]
    return set(source.columns) - OPTIONAL <= set(rec[table].schema.names)


def traces(rec: Recording, people: People) -> Iterator[pa.BinaryArray]:
    """Yield the spans of the selected part of a session, as items of a scope.

    Parameters
    ----------
    rec : Recording
        Tables that it lacks, or that lack what spans need, are left out.
    people : People
        The processes and threads of the session.
    """
    if has(rec, "processes"):
        yield from process_spans(rec, people)
    for table, source in SOURCES.items():
        if complete(rec, table):
            for batch in slices(rec, table, *source.columns):
                made = source.make(people, batch)
                if made is not None:
                    yield spans.encoded(made)
    for table, paired in PAIRED.items():
        if complete(rec, table):
            yield from network.paired_spans(rec, people, paired)
