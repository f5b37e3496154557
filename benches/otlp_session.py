"""A session to export: many system calls and samples of a few threads, made of numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from workbench.probe.layout import arrow_schema
from workbench.recording import Recording
from workbench.schema import SIDE_TABLES
from workbench.schema import arrow_schema as side_schema
from workbench.store.manifest import Manifest
from workbench.store.writer import SessionWriter

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.probe.layout import Layout

START = 1_790_000_000_000_000_000
LENGTH_S = 20
THREADS = 16
STACKS, DEPTH, FRAMES = 2000, 30, 3000
CALLS = np.array([0, 1, 3, 5, 9, 10, 11, 12, 202, 257, 262], np.uint16)
BATCH = 1 << 16
_STACK = (pa.field("stack_id", pa.uint32()), pa.field("weight", pa.uint32()))


def session(path: Path, layouts: tuple[Layout, Layout], rows: int) -> Recording:
    """Write as many system calls and samples; the layouts are those of ``syscalls`` and ``cpu``."""
    kinds: dict[str, dict[str, Any]] = {"syscalls": {}, "cpu": {"hz": 999}}
    host = {"node": "bench", "machine": "x86_64", "kernel": "6.18.0", "cpus": 2}
    writer = SessionWriter.create(path, Manifest(kinds=kinds, start_ns=START, host=host))
    for table, batch in _side().items():
        writer.append(table, batch)
    generator = np.random.default_rng(1)
    for kind, layout in zip(kinds, layouts, strict=True):
        schema = arrow_schema(layout)
        if kind == "cpu":
            names = [n for n in schema.names if not n.endswith("_depth")]
            schema = pa.schema([*(schema.field(name) for name in names), *_STACK])
        writer.add_table(kind, schema)
        for at in range(0, rows, BATCH):
            writer.append(kind, _batch(schema, generator, at, min(BATCH, rows - at), rows))
    writer.finish(reason="made", stop_ns=START + LENGTH_S * 10**9)
    return Recording.open(path)


def _batch(
    schema: pa.Schema, generator: np.random.Generator, at: int, count: int, rows: int
) -> pa.RecordBatch:
    thread = generator.integers(0, THREADS, count)
    failed = generator.random(count) < 0.05
    values = {
        "ts": START + (at + np.arange(count)) * (LENGTH_S * 10**9 // rows),
        "latency": generator.lognormal(8, 2, count).astype(np.int64),
        "ret": np.where(failed, -2, generator.integers(0, 1 << 16, count)),
        "pid": 1000 + thread // 4 * 4,
        "tid": 1000 + thread,
        "nr": generator.choice(CALLS, count),
        "cpu": generator.integers(0, 2, count),
        "stack_id": np.minimum(generator.zipf(1.3, count), STACKS) - 1,
        "weight": np.ones(count, np.int64),
    }
    arrays = []
    for item in schema:
        if pa.types.is_fixed_size_list(item.type):
            flat = pa.array(generator.integers(0, 1 << 40, count * item.type.list_size))
            flat = flat.cast(item.type.value_type)
            arrays.append(pa.FixedSizeListArray.from_arrays(flat, type=item.type))
        elif pa.types.is_dictionary(item.type):
            arrays.append(pa.array(["complete"] * count).dictionary_encode().cast(item.type))
        else:
            numbers = pa.array(np.asarray(values[item.name]).astype(np.int64))
            arrays.append(numbers.cast(item.type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _side() -> dict[str, pa.RecordBatch]:
    processes = [
        {
            "ts": START,
            "event": "snapshot",
            "pid": 1000 + number // 4 * 4,
            "tid": 1000 + number,
            "ppid": 1,
            "comm": f"worker-{number}",
            "exe": "/usr/bin/server",
            "cmdline": "server --port 80",
            "cgroup": "/",
            "exit_code": None,
        }
        for number in range(THREADS)
    ]
    frames = [
        {
            "frame_id": number,
            "function": f"function_{number}",
            "file": f"file_{number % 200}.c",
            "line": number % 900 + 1,
            "module": f"/usr/lib/lib{number % 20}.so",
            "build_id": f"{number % 20:040x}",
            "offset": 4096 + 64 * number,
            "kind": "native",
        }
        for number in range(FRAMES)
    ]
    chosen = np.random.default_rng(2).integers(0, FRAMES, (STACKS, DEPTH)).tolist()
    stacks = [{"stack_id": number, "frame_ids": ids} for number, ids in enumerate(chosen)]
    rows = {"processes": processes, "frames": frames, "stacks": stacks}
    return {
        table: pa.RecordBatch.from_pylist(rows[table], side_schema(SIDE_TABLES[table]))
        for table in rows
    }
