"""Processes and threads as spans: a process is the parent of its threads.

A process and all that happens in it is one trace; its span links to that of the process that
started it. What ran before the capture begins with it, and what outlived it ends with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.formats.otlp import attributes as of
from workbench.formats.otlp.lives import integers
from workbench.formats.otlp.origin import profile_attributes
from workbench.formats.otlp.traces import spans
from workbench.formats.otlp.traces.spans import ATTRIBUTE as AT
from workbench.frames.needs import need

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl
    import pyarrow as pa

    from workbench.formats.otlp.lives import Indices, People
    from workbench.recording import Recording


def process_spans(rec: Recording, people: People) -> Iterator[pa.BinaryArray]:
    """Yield the spans of the selected processes, then of the selected threads."""
    rows = need(rec, "processes", "ts", "pid", "tid").collect()
    ts = integers(rows, "ts")
    # Receivers often do not show what a scope says: the spans that samples link to say it, too.
    profiles = of.key_values(AT, profile_attributes(rec))
    for found, made in (
        (people.process(integers(rows, "pid"), ts), _processes),
        (people.thread(integers(rows, "tid"), ts), _threads),
    ):
        index = np.unique(found[found >= 0])
        if len(index):
            yield spans.encoded(made(people, index, profiles))


def _processes(people: People, index: Indices, profiles: bytes) -> spans.Spans:
    import polars as pl

    frame = people.processes[index]
    status, signal = pl.col("exit_status"), pl.col("exit_signal")
    failure = (
        pl.when(signal.is_not_null())
        .then(pl.format("signal {}", signal))
        .when(status != 0)
        .then(pl.format("exit status {}", status))
    )
    name = (
        pl.when(pl.col("exe") == "")
        .then("comm")
        .otherwise(pl.col("exe").str.split("/").list.last())
    )
    frame = frame.with_columns(failure.alias("failure"), name.alias("program"))
    starts = integers(people.processes[index], "started")
    parent = people.process(integers(frame, "ppid"), np.where(starts, starts, people.start))
    return spans.Spans(
        trace=people.trace(index),
        span=people.process_ids[index],
        parent=np.zeros(len(index), np.uint64),
        **_times(people, frame),
        name=_arrow(frame, "program"),
        attributes=[
            of.numbers(AT, "process.pid", _arrow(frame, "pid")),
            of.numbers(AT, "process.parent_pid", _arrow(frame, "ppid")),
            of.texts(AT, "process.executable.name", _arrow(frame, "program")),
            of.texts(AT, "process.executable.path", _arrow(frame, "exe")),
            of.texts(AT, "process.command_line", _arrow(frame, "cmdline")),
            of.texts(AT, "process.linux.cgroup", _arrow(frame, "cgroup")),
            of.numbers(AT, "process.exit.code", _arrow(frame, "exit_status")),
            of.numbers(AT, "workbench.process.exit_signal", _arrow(frame, "exit_signal")),
            of.texts(AT, "error.type", _arrow(frame, "failure")),
            profiles,
        ],
        more=[
            spans.links(people.trace(parent), people.process_span(parent)),
            spans.statuses(_arrow(frame, "failure")),
        ],
    )


def _threads(people: People, index: Indices, profiles: bytes) -> spans.Spans:
    frame = people.threads[index]
    process = integers(frame, "process")
    ended = integers(people.processes, "ended")
    return spans.Spans(
        trace=people.thread_trace(index),
        span=people.thread_ids[index],
        parent=people.process_span(process),
        **_times(people, frame, np.append(ended, 0)[process]),
        name=_arrow(frame, "comm"),
        attributes=[
            of.numbers(AT, "process.pid", _arrow(frame, "pid")),
            of.numbers(AT, "thread.id", _arrow(frame, "tid")),
            of.texts(AT, "thread.name", _arrow(frame, "comm")),
            profiles,
        ],
    )


def _times(people: People, frame: pl.DataFrame, until: Any = 0) -> dict[str, Any]:
    """Return start and end; where a thread's end is not known it is its process' (`until`)."""
    starts, ends = integers(frame, "started"), integers(frame, "ended")
    ends = np.where(ends, ends, until)
    start = np.where(starts, starts, people.start)
    return {"start": start, "end": np.maximum(np.where(ends, ends, people.end), start)}


def _arrow(frame: pl.DataFrame, name: str) -> Any:
    import polars as pl

    return frame[name].to_arrow(compat_level=pl.CompatLevel.oldest())
