"""The face of a Recording over tables in memory, for tests that make thousands of them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from workbench.frames.flame import FlameTree, _left_edges

SYSCALLS: dict[str, Any] = {
    "ts": pl.Datetime("ns", "UTC"),
    "pid": pl.UInt32,
    "tid": pl.UInt32,
    "comm": pl.Categorical,
    "nr": pl.UInt16,
    "name": pl.Categorical,
    "ret": pl.Int64,
    "errno": pl.UInt16,
    "latency": pl.Duration("ns"),
    "weight": pl.UInt32,
}
AGGREGATED: dict[str, Any] = {
    "ts": pl.Datetime("ns", "UTC"),
    "pid": pl.UInt32,
    "nr": pl.UInt16,
    "name": pl.Categorical,
    "comm": pl.Categorical,
    "calls": pl.UInt64,
    "errors": pl.UInt64,
    "latency_sum": pl.Duration("ns"),
    "latency_hist": pl.Array(pl.UInt64, 64),
}
CPU: dict[str, Any] = {
    "ts": pl.Datetime("ns", "UTC"),
    "cpu": pl.UInt16,
    "pid": pl.UInt32,
    "tid": pl.UInt32,
    "comm": pl.Categorical,
    "stack_id": pl.UInt32,
    "weight": pl.UInt32,
}
OFFCPU: dict[str, Any] = CPU | {
    "blocked": pl.Duration("ns"),
    "runnable": pl.Duration("ns"),
    "waker_pid": pl.UInt32,
    "waker_tid": pl.UInt32,
    "state": pl.Categorical,
    "waker": pl.Categorical,
    "waker_stack_id": pl.UInt32,
}
FILES: dict[str, Any] = {
    "ts": pl.Datetime("ns", "UTC"),
    "pid": pl.UInt32,
    "comm": pl.Categorical,
    "path": pl.Categorical,
    "type": pl.Categorical,
    "op": pl.Categorical,
    "ret": pl.Int64,
    "errno": pl.UInt16,
    "latency": pl.Duration("ns"),
}
_FILE_OPS = ("open", "read", "write", "sync")
FILES_AGG: dict[str, Any] = {
    "ts": pl.Datetime("ns", "UTC"),
    "pid": pl.UInt32,
    "comm": pl.Categorical,
    "path_id": pl.UInt32,
    "path": pl.Categorical,
    "type": pl.Categorical,
    "operations": pl.UInt64,
    "errors": pl.UInt64,
    **dict.fromkeys(("opens", "closes", "reads", "writes", "syncs"), pl.UInt64),
    **dict.fromkeys(("read_bytes", "written_bytes"), pl.UInt64),
    **{f"{op}_sum": pl.Duration("ns") for op in _FILE_OPS},
    **{f"{op}_hist": pl.Array(pl.UInt64, 64) for op in _FILE_OPS[1:]},
}
PAGECACHE: dict[str, Any] = {
    "ts": pl.Datetime("ns", "UTC"),
    "index": pl.UInt64,
    "pages": pl.UInt32,
    "path": pl.Categorical,
    "pid": pl.UInt32,
    "comm": pl.Categorical,
    "op": pl.Categorical,
    "fresh": pl.UInt16,
}
_PAGES = ("looked_up", "faulted", "mapped", "added", "removed", "dirtied", "written", "created")
PAGECACHE_AGG: dict[str, Any] = {
    "ts": pl.Datetime("ns", "UTC"),
    "pid": pl.UInt32,
    "comm": pl.Categorical,
    "path_id": pl.UInt32,
    "path": pl.Categorical,
    **dict.fromkeys(_PAGES, pl.UInt64),
}
BLOCK: dict[str, Any] = {
    "ts": pl.Datetime("ns", "UTC"),
    "pid": pl.UInt32,
    "comm": pl.Categorical,
    "device": pl.Categorical,
    "op": pl.Categorical,
    "bytes": pl.UInt64,
    "failed": pl.UInt16,
    "queued": pl.Duration("ns"),
    "service": pl.Duration("ns"),
}
BLOCK_AGG: dict[str, Any] = {
    "ts": pl.Datetime("ns", "UTC"),
    "pid": pl.UInt32,
    "comm": pl.Categorical,
    "device": pl.Categorical,
    "op": pl.Categorical,
    "size_class": pl.UInt16,
    "requests": pl.UInt64,
    "failures": pl.UInt64,
    "bytes": pl.UInt64,
    "queued_sum": pl.Duration("ns"),
    "service_sum": pl.Duration("ns"),
    "queued_hist": pl.Array(pl.UInt64, 64),
    "service_hist": pl.Array(pl.UInt64, 64),
}
SCHED: dict[str, Any] = CPU | {
    "latency": pl.Duration("ns"),
    "ran": pl.Duration("ns"),
    "waker_pid": pl.UInt32,
    "waker_tid": pl.UInt32,
    "from_cpu": pl.UInt16,
    "migrations": pl.UInt16,
    "cause": pl.Categorical,
    "state": pl.Categorical,
    "waker": pl.Categorical,
}
SCHED_AGGREGATED: dict[str, Any] = {
    "ts": pl.Datetime("ns", "UTC"),
    "pid": pl.UInt32,
    "tid": pl.UInt32,
    "comm": pl.Categorical,
    "runs": pl.UInt64,
    "preempted": pl.UInt64,
    "migrations": pl.UInt64,
    "ran_sum": pl.Duration("ns"),
    "latency_sum": pl.Duration("ns"),
    "latency_max": pl.Duration("ns"),
    "latency_hist": pl.Array(pl.UInt64, 64),
}
EXEC: dict[str, Any] = {
    "ts": pl.Datetime("ns", "UTC"),
    "event": pl.Categorical,
    "pid": pl.UInt32,
    "tid": pl.UInt32,
    "ppid": pl.UInt32,
    "comm": pl.Categorical,
    "filename": pl.String,
    "cmdline": pl.String,
    "duration": pl.Duration("ns"),
    "errno": pl.UInt16,
    "exit_code": pl.Int32,
}
SIGNALS: dict[str, Any] = {
    "ts": pl.Datetime("ns", "UTC"),
    "pid": pl.UInt32,
    "tid": pl.UInt32,
    "comm": pl.Categorical,
    "latency": pl.Duration("ns"),
    "sender_pid": pl.UInt32,
    "sender_tid": pl.UInt32,
    "signal": pl.UInt16,
    "event": pl.Categorical,
    "result": pl.Categorical,
    "action": pl.Categorical,
}
LOCKS: dict[str, Any] = {
    "ts": pl.Datetime("ns", "UTC"),
    "pid": pl.UInt32,
    "tid": pl.UInt32,
    "comm": pl.Categorical,
    "waited": pl.Duration("ns"),
    "held": pl.Duration("ns"),
    "lock": pl.UInt64,
    "owner_tid": pl.UInt32,
    "waker_tid": pl.UInt32,
    "event": pl.Categorical,
    "type": pl.Categorical,
    "open": pl.UInt16,
    "stack_id": pl.UInt32,
}
LOCKS_AGGREGATED: dict[str, Any] = {
    "ts": pl.Datetime("ns", "UTC"),
    "pid": pl.UInt32,
    "lock": pl.UInt64,
    "type": pl.Categorical,
    "events": pl.UInt64,
    "waits": pl.UInt64,
    "holds": pl.UInt64,
    "waited_sum": pl.Duration("ns"),
    "held_sum": pl.Duration("ns"),
    "waited_hist": pl.Array(pl.UInt64, 64),
}
IRQ: dict[str, Any] = {
    "ts": pl.Datetime("ns", "UTC"),
    "cpu": pl.UInt16,
    "pid": pl.UInt32,
    "tid": pl.UInt32,
    "duration": pl.Duration("ns"),
    "type": pl.Categorical,
    "irq": pl.UInt16,
    "handler": pl.String,
}
IRQ_AGGREGATED: dict[str, Any] = {
    "ts": pl.Datetime("ns", "UTC"),
    "pid": pl.UInt32,
    "cpu": pl.UInt16,
    "type": pl.Categorical,
    "irq": pl.UInt16,
    "handler": pl.String,
    "interrupts": pl.UInt64,
    "duration_sum": pl.Duration("ns"),
    "duration_max": pl.Duration("ns"),
    "duration_hist": pl.Array(pl.UInt64, 64),
}
STACKS: dict[str, Any] = {"stack_id": pl.UInt32, "frame_ids": pl.List(pl.UInt32)}
FRAMES: dict[str, Any] = {
    "frame_id": pl.UInt32,
    "function": pl.String,
    "file": pl.String,
    "line": pl.UInt32,
    "module": pl.String,
    "build_id": pl.String,
    "offset": pl.UInt64,
    "kind": pl.Categorical,
}
PROCESSES: dict[str, Any] = {
    "ts": pl.Datetime("ns", "UTC"),
    "event": pl.Categorical,
    "pid": pl.UInt32,
    "tid": pl.UInt32,
    "ppid": pl.UInt32,
    "comm": pl.String,
    "exe": pl.String,
    "cmdline": pl.String,
    "cgroup": pl.String,
    "exit_code": pl.Int32,
}
SCHEMAS = {
    "syscalls": SYSCALLS,
    "syscalls_agg": AGGREGATED,
    "cpu": CPU,
    "offcpu": OFFCPU,
    "files": FILES,
    "files_agg": FILES_AGG,
    "pagecache": PAGECACHE,
    "pagecache_agg": PAGECACHE_AGG,
    "block": BLOCK,
    "block_agg": BLOCK_AGG,
    "sched": SCHED,
    "exec": EXEC,
    "irq": IRQ,
    "irq_agg": IRQ_AGGREGATED,
    "locks": LOCKS,
    "locks_agg": LOCKS_AGGREGATED,
    "signals": SIGNALS,
    "sched_agg": SCHED_AGGREGATED,
    "stacks": STACKS,
    "frames": FRAMES,
    "processes": PROCESSES,
}


class FakeTable:
    """A polars frame with the methods of Table that frames use."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self.frame = frame
        self.num_rows = self.written = frame.height
        self.schema = SimpleNamespace(
            names=frame.columns, field=lambda name: pa.field(name, pa.null())
        )

    def lazy(self) -> pl.LazyFrame:
        return self.frame.lazy()


class FakeRecording:
    """Tables by name; ``manifest`` and ``losses`` as far as frames read them."""

    def __init__(self, manifest: dict[str, Any] | None = None, **tables: Any) -> None:
        self.tables = {name: FakeTable(make(name, rows)) for name, rows in tables.items()}
        empty = {"kinds": {}, "losses": (), "overhead": (), "recorder": {}, "problems": ()}
        self.manifest = SimpleNamespace(**(empty | (manifest or {})))

    def __getitem__(self, name: str) -> FakeTable:
        return self.tables[name]


def make(name: str, rows: Any) -> pl.DataFrame:
    """Return rows (list of dicts, missing columns filled) or a frame as table ``name``."""
    if isinstance(rows, pl.DataFrame):
        return rows
    schema = SCHEMAS[name]
    plain = {
        column: pl.Int64 if kind in (pl.Datetime("ns", "UTC"), pl.Duration("ns")) else kind
        for column, kind in schema.items()
    }
    full = [
        {column: row.get(column, _default(kind)) for column, kind in schema.items()} for row in rows
    ]
    return pl.DataFrame(full, schema=plain).cast(schema)


def _default(kind: Any) -> Any:
    if kind in (pl.String, pl.Categorical):
        return ""
    return 1 if kind == pl.UInt32 else 0


Path = list[tuple[str, str, str]]
"""Frames from root to leaf as (name, module, kind)."""


def stacks_of(samples: list[tuple[str, Path, int]], **more: Any) -> FakeRecording:
    """Return a recording of CPU samples: (comm, path, weight)."""
    rows = [{"comm": comm, "path": path, "weight": weight} for comm, path, weight in samples]
    return FakeRecording(cpu=rows, **_numbered(rows), **more)


def offcpu_of(rows: list[dict[str, Any]], **more: Any) -> FakeRecording:
    """Return a recording of off-CPU periods: columns, and ``path``."""
    rows = [{"waker": "none", **row} for row in rows]
    return FakeRecording(offcpu=rows, **_numbered(rows), **more)


def _numbered(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Give rows the ``stack_id`` of their path; return the tables ``stacks`` and ``frames``."""
    frames: dict[tuple[str, str, str], int] = {}
    stacks: dict[tuple[int, ...], int] = {}
    for row in rows:
        ids = tuple(frames.setdefault(frame, len(frames)) for frame in reversed(row.pop("path")))
        row["stack_id"] = stacks.setdefault(ids, len(stacks))
    return {
        "stacks": [{"stack_id": number, "frame_ids": list(ids)} for ids, number in stacks.items()],
        "frames": [
            {"frame_id": number, "function": name, "module": module, "kind": kind, "file": None}
            for (name, module, kind), number in frames.items()
        ],
    }


def wide_tree(nodes: int) -> FlameTree:
    """A tree of about that many nodes: 60 levels, every node with up to three children."""
    rng = np.random.default_rng(3)
    sizes, parents = [1], [np.array([-1])]
    while sum(sizes) < nodes:
        count = min(sizes[-1] * 3, nodes // 50 + 1)
        start = sum(sizes) - sizes[-1]
        parents.append(np.sort(rng.integers(0, sizes[-1], count)) + start)
        sizes.append(count)
    parent = np.concatenate(parents)
    width = rng.integers(1, 50, len(parent)).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    for start, stop in zip(offsets[-2:0:-1], offsets[:0:-1], strict=False):
        np.add.at(width, parent[start:stop], width[start:stop])
    children = np.zeros(len(parent), np.int64)
    np.add.at(children, parent[1:], width[1:])
    return FlameTree(
        names=["all", *(f"package.module_{n % 97}.function_{n}" for n in range(4000))],
        modules=["", "/usr/bin/app"],
        parent=parent.astype(np.int32),
        depth=np.repeat(np.arange(len(sizes)), sizes).astype(np.uint16),
        left=_left_edges(parent, width, offsets),
        width=width.astype(float),
        self=(width - children).astype(float),
        name=np.where(parent < 0, 0, 1 + (rng.zipf(1.3, len(parent)) % 4000)).astype(np.uint32),
        kind=np.where(parent < 0, 6, 1 + np.arange(len(parent)) % 3).astype(np.uint8),
        module=np.ones(len(parent), np.uint32),
        level_offsets=offsets.astype(np.uint32),
    )
