"""Nanoseconds per event from the bytes of a ring buffer to an Arrow batch."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benches.harness import Plan, Result
from workbench.batch import Batcher
from workbench.kinds import OBJECTS
from workbench.probe import ringbuf
from workbench.probe.layout import Layout, arrow_schema
from workbench.probe.objects import Object

FIXED, MIXED = "workbench, fixed size", "workbench, mixed sizes"
CAST, FRAME = "ctypes cast per event", "ctypes, fields to pandas"

COLUMNS = {"ns_per_event": "ns/event", "steps": "of which", "note": ""}
SPAN = 4 << 20
"""Bytes that the recorder takes at a time."""
REPEATS = 5
SLOW = 16
"""The peers get that many times fewer events: they are that slow."""


def layouts() -> tuple[Layout, Layout]:
    """Layouts of the syscalls events (fixed size) and of the cpu events (with a tail)."""
    with Object(OBJECTS / "syscalls.bpf.o") as calls, Object(OBJECTS / "cpu.bpf.o") as cpu:
        return calls.layout("syscalls_event"), cpu.layout("cpu_event")


def fixed_bytes(layout: Layout, count: int) -> np.ndarray:
    """Return a ring buffer's content: ``count`` records of the layout, as 64-bit words."""
    dtype = np.dtype([("length", "u4"), ("page", "u4"), ("event", layout.dtype)])
    ring = np.zeros(count, dtype)
    ring["length"] = layout.dtype.itemsize
    ring["page"] = np.arange(count) * dtype.itemsize // ringbuf.PAGE
    generator = np.random.default_rng(1)
    for field in layout.fields:
        values = generator.integers(0, 60, ring["event"][field.name].shape)
        ring["event"][field.name] = values
    return ring.view(np.uint64)


def mixed_bytes(layout: Layout, count: int) -> np.ndarray:
    """The same with tails of 4 to 60 words, as stacks have."""
    assert layout.dtype.itemsize % 8 == 0
    head = layout.dtype.itemsize // 8
    tails = np.random.default_rng(1).integers(4, 61, count)
    sizes = 1 + head + tails
    starts = np.cumsum(sizes) - sizes
    words = np.full(int(sizes.sum()), 0x7F0012345678, np.uint64)
    pages = (starts * 8 // ringbuf.PAGE).astype(np.uint64)
    words[starts] = pages << np.uint64(32) | ((head + tails) * 8).astype(np.uint64)
    return words


def drained(words: np.ndarray, take: Callable[[Any], dict[str, float]]) -> dict[str, float]:
    """Walk through a ring's content in spans; return events and ns by step.

    ``take`` gets each span and returns the ns of its own steps.
    """
    total: dict[str, float] = {"events": 0, "walk": 0}
    at = 0
    while at < len(words):
        start = time.perf_counter_ns()
        span, used = ringbuf.walk(words[at : at + SPAN // 8], at * 8, 1 << 32)
        total["walk"] += time.perf_counter_ns() - start
        total["events"] += len(span)
        for step, ns in take(span).items():
            total[step] = total.get(step, 0) + ns
        at += used // 8
        assert used
    return total


def workbench_row(layout: Layout, words: np.ndarray, *, tails: bool) -> dict[str, Any]:
    """Decode a ring's content; the best of some repeats."""
    batcher = Batcher(layout, arrow_schema(layout), 0)

    def take(span: Any) -> dict[str, float]:
        start = time.perf_counter_ns()
        batch = batcher.batch(span.records(layout.dtype))
        middle = time.perf_counter_ns()
        assert batch.num_rows == len(span)
        if not tails:
            return {"columns": middle - start}
        span.tails(layout.dtype.itemsize)
        return {"columns": middle - start, "tails": time.perf_counter_ns() - middle}

    runs = [drained(words, take) for _ in range(REPEATS)]
    best = min(runs, key=lambda run: sum(run.values()) - run["events"])
    events = best.pop("events")
    steps = {step: ns / events for step, ns in best.items()}
    return {"ns_per_event": sum(steps.values()), "ns": steps, "events": int(events)}


def structure(layout: Layout) -> type[ctypes.Structure]:
    """The ctypes class that BCC makes of an event."""
    names = {"u1": "uint8", "u2": "uint16", "u4": "uint32", "u8": "uint64", "i8": "int64"}
    fields = []
    for field in layout.fields:
        kind = getattr(ctypes, f"c_{names[field.dtype.base.str[1:]]}")
        fields.append((field.name, kind * field.dtype.shape[0] if field.dtype.shape else kind))
    return type("Event", (ctypes.Structure,), {"_fields_": fields})


def peer_row(layout: Layout, words: np.ndarray, *, frame: bool) -> dict[str, Any]:
    """Decode event by event as BCC's ``table.event(data)`` does, without its callback."""
    event = structure(layout)
    pointer = ctypes.POINTER(event)
    step = 8 + layout.dtype.itemsize
    first = words.ctypes.data + 8
    count = len(words) * 8 // step
    names = [field.name for field in layout.fields]
    rows = []
    start = time.perf_counter_ns()
    for at in range(count):
        e = ctypes.cast(first + at * step, pointer).contents
        if frame:
            rows.append([getattr(e, name) for name in names])
    if frame:
        import pandas as pd

        for row in rows:
            row[names.index("args")] = list(row[names.index("args")])
        assert len(pd.DataFrame(rows, columns=names)) == count
    return {"ns_per_event": (time.perf_counter_ns() - start) / count, "events": count}


def run(plan: Plan) -> Result:
    """Decode replayed bytes; no kernel is needed."""
    result = Result("decode", "Decoding: ring buffer bytes to columns", COLUMNS)
    fixed, mixed = layouts()
    words = fixed_bytes(fixed, plan.events)
    few = words[: len(words) // SLOW]
    rows = {
        FIXED: (workbench_row(fixed, words, tails=False), "to an Arrow batch"),
        MIXED: (
            workbench_row(mixed, mixed_bytes(mixed, plan.events // 4), tails=True),
            "heads to an Arrow batch, 4 to 60 words of tail to one array",
        ),
        CAST: (peer_row(fixed, few, frame=False), "what a BCC callback does first; no column yet"),
        FRAME: (peer_row(fixed, few, frame=True), "what makes a dataframe of it"),
    }
    for name, (row, note) in rows.items():
        steps = ", ".join(f"{step} {ns:.1f}" for step, ns in row.get("ns", {}).items())
        result.rows.append({"name": name, **row, "steps": steps, "note": note})
    return result
