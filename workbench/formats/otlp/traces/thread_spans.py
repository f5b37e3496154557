"""What threads do and wait for, as spans: system calls, time off the CPU, waits for locks."""

from __future__ import annotations

import errno
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.formats.otlp import attributes as of
from workbench.formats.otlp.identity import hashed, seed_of
from workbench.formats.otlp.slices import chosen, integers, is_text
from workbench.formats.otlp.traces import spans
from workbench.formats.otlp.traces.spans import ATTRIBUTE as AT

if TYPE_CHECKING:
    import pyarrow as pa

    from workbench.formats.otlp.identity import Ids
    from workbench.formats.otlp.lives import People

THREAD = ("ts", "pid", "tid", "comm", "cpu", "weight")
"""Columns that tell where and when something happened."""
SYSCALLS = (*THREAD, "nr", "name", "ret", "errno", "latency")
OFFCPU = (*THREAD, "blocked", "runnable", "waker_pid", "waker_tid", "state", "open")
LOCKS = (*THREAD, "waited", "ret", "errno", "lock", "waker_tid", "event", "type", "open")
SYSCALL_ID = ("ts", "tid", "nr", "ret", "latency")
OFFCPU_ID = ("ts", "tid", "pid", "blocked", "runnable")
LOCK_ID = ("ts", "tid", "pid", "lock", "waited")
"""Columns that tell rows apart, of which the spans' identifiers are made."""


@cache
def error_names() -> Any:
    """Return the names of errors by number, those without a name by their number (``E133``)."""
    import pyarrow as pa

    return pa.array([errno.errorcode.get(n, f"E{n}") if n else None for n in range(4096)])


def errors(numbers: Any) -> Any:
    """Return the names of errors, null for 0 and null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    known = pc.if_else(pc.less(numbers, 4096), numbers, None).cast(pa.int16())
    return pa.DictionaryArray.from_arrays(known, error_names())


def thread_attributes(batch: pa.RecordBatch) -> list[Any]:
    """Return the attributes of what a thread does."""
    found = [
        of.numbers(AT, "process.pid", batch.column("pid")),
        of.numbers(AT, "thread.id", batch.column("tid")),
    ]
    if "comm" in batch.schema.names:
        found.append(of.texts(AT, "thread.name", batch.column("comm")))
    if "cpu" in batch.schema.names:
        found.append(of.numbers(AT, "cpu.logical_number", batch.column("cpu")))
    return [*found, *weights(batch)]


def weights(batch: pa.RecordBatch) -> list[Any]:
    """Return how many events a row stands for, where that is not one."""
    import pyarrow.compute as pc

    if "weight" not in batch.schema.names or (integers(batch, "weight") == 1).all():
        return []
    weight = batch.column("weight")
    several = pc.if_else(pc.equal(weight, 1), None, weight)
    return [of.numbers(AT, "workbench.weight", several)]


def syscall_ids(people: People, batch: pa.RecordBatch) -> Ids:
    """Return the span of each row of ``syscalls``."""
    seed = seed_of(people.session, "syscalls")
    return hashed(seed, *(integers(batch, name) for name in SYSCALL_ID))


def syscalls(people: People, batch: pa.RecordBatch) -> spans.Spans:
    """Return a span per system call, the child of its thread; it failed where it has an errno."""
    ts, latency = integers(batch, "ts"), integers(batch, "latency")
    trace, thread = people.owners(integers(batch, "pid"), integers(batch, "tid"), ts)
    failure = errors(batch.column("errno"))
    return spans.Spans(
        trace=trace,
        span=syscall_ids(people, batch),
        parent=thread,
        start=ts,
        end=ts + latency,
        name=batch.column("name"),
        attributes=[
            *thread_attributes(batch),
            of.counts(AT, "workbench.syscall.return_value", integers(batch, "ret")),
            of.texts(AT, "error.type", failure),
        ],
        more=[spans.statuses(failure)],
    )


def offcpu_ids(people: People, batch: pa.RecordBatch) -> Ids:
    """Return the span of each row of ``offcpu``."""
    seed = seed_of(people.session, "offcpu")
    return hashed(seed, *(integers(batch, name) for name in OFFCPU_ID))


def offcpu(people: People, batch: pa.RecordBatch) -> spans.Spans:
    """Return a span per time off the CPU, named by its cause; it links to who woke the thread."""
    ts, blocked, runnable = (integers(batch, name) for name in ("ts", "blocked", "runnable"))
    trace, thread = people.owners(integers(batch, "pid"), integers(batch, "tid"), ts)
    return spans.Spans(
        trace=trace,
        span=offcpu_ids(people, batch),
        parent=thread,
        start=ts,
        end=ts + blocked + runnable,
        name=batch.column("state"),
        attributes=[
            *thread_attributes(batch),
            of.counts(AT, "workbench.offcpu.blocked_ns", blocked),
            of.counts(AT, "workbench.offcpu.runnable_ns", runnable),
            *still_open(batch),
        ],
        more=_woken_by(people, batch, ts + blocked),
    )


def lock_waits(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the rows of ``locks`` that are waits."""
    return chosen(batch, is_text(batch, "event", "wait"))


def lock_ids(people: People, batch: pa.RecordBatch) -> Ids:
    """Return the span of each wait for a lock."""
    return hashed(seed_of(people.session, "locks"), *(integers(batch, name) for name in LOCK_ID))


def locks(people: People, batch: pa.RecordBatch) -> spans.Spans | None:
    """Return a span per wait for a lock, named by its type; it links to who ended the wait."""
    batch = lock_waits(batch)
    if not batch.num_rows:
        return None
    ts, waited = integers(batch, "ts"), integers(batch, "waited")
    trace, thread = people.owners(integers(batch, "pid"), integers(batch, "tid"), ts)
    failure = errors(batch.column("errno")) if "errno" in batch.schema.names else None
    return spans.Spans(
        trace=trace,
        span=lock_ids(people, batch),
        parent=thread,
        start=ts,
        end=ts + waited,
        name=batch.column("type"),
        attributes=[
            *thread_attributes(batch),
            of.addresses(AT, "workbench.lock.address", batch.column("lock")),
            *([] if failure is None else [of.texts(AT, "error.type", failure)]),
            *still_open(batch),
        ],
        more=[
            *_woken_by(people, batch, ts + waited),
            *([] if failure is None else [spans.statuses(failure)]),
        ],
    )


def still_open(batch: pa.RecordBatch) -> list[Any]:
    """Return the attribute of what had not ended when the capture did."""
    if "open" not in batch.schema.names or not (mask := integers(batch, "open") != 0).any():
        return []
    return [of.flags(AT, "workbench.open", mask)]


def _woken_by(people: People, batch: pa.RecordBatch, ts: Any) -> list[Any]:
    """Return links to the threads that ended the waits."""
    if "waker_tid" not in batch.schema.names:
        return []
    tid = integers(batch, "waker_tid")
    thread = np.where(tid == 0, -1, people.thread(tid, ts))
    if (thread < 0).all():
        return []
    return [spans.links(people.thread_trace(thread), people.thread_span(thread))]
