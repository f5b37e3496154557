"""Synthetic sessions with a known answer, written by the real writer.

``make_session(path)`` writes a session; ``truth(...)`` with the same arguments gives what is in
it: raw columns as numpy arrays, the thread name of every event, and folded stacks. In
production the schemas of event tables come from the C structs' BTF; here they are declared.

The scenery: ``systemd`` (1) and ``bash`` (1000, with thread 1001 ``worker-0``) were there
before the recording; ``bash`` forks 2000, which executes ``python3`` and is renamed to
``job``; 2000 forks 2100, which executes ``cat`` and exits; later the id 2100 is reused by
``grep``. Thread 1002 of process 1000 has no row of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from workbench.schema import SIDE_TABLES, arrow_schema
from workbench.store.manifest import Manifest
from workbench.store.writer import SessionWriter

START = 1_760_000_000_000_000_000
"""Start of every synthetic session, ns UTC (October 2025)."""

SECOND = 1_000_000_000
DURATION = 10 * SECOND
BATCH_ROWS = 4096


def _event(fields: dict[str, tuple[pa.DataType, str, str]]) -> pa.Schema:
    return pa.schema(
        pa.field(name, kind, nullable=False, metadata={"unit": unit, "meaning": meaning})
        for name, (kind, unit, meaning) in fields.items()
    )


TS = (pa.timestamp("ns", tz="UTC"), "ns", "time of the event, UTC")
CPU = (pa.uint16(), "1", "CPU that recorded the event")
PID = (pa.uint32(), "1", "process id")
TID = (pa.uint32(), "1", "thread id")

SYSCALLS = _event(
    {
        "ts": TS,
        "args": (pa.list_(pa.field("item", pa.uint64(), nullable=False), 6), "1", "arguments"),
        "ret": (pa.int64(), "1", "return value"),
        "latency": (pa.duration("ns"), "ns", "time between entry and exit"),
        "pid": PID,
        "tid": TID,
        "nr": (pa.uint16(), "1", "system call number"),
        "cpu": CPU,
    }
)
SYSCALLS_AGG = _event(
    {
        "ts": TS,
        "calls": (pa.uint64(), "1", "calls"),
        "errors": (pa.uint64(), "1", "failed calls"),
        "latency_sum": (pa.duration("ns"), "ns", "sum of the latencies"),
        "latency_hist": (
            pa.list_(pa.field("item", pa.uint64(), nullable=False), 64),
            "1",
            "calls per power of two of the latency in ns",
        ),
        "pid": PID,
        "nr": (pa.uint16(), "1", "system call number"),
    }
)
CPU_SAMPLES = _event(
    {
        "ts": TS,
        "pid": PID,
        "tid": TID,
        "stack_id": (pa.uint32(), "1", "stack"),
        "weight": (pa.uint32(), "1", "samples"),
        "cpu": CPU,
    }
)
_TEXT = pa.dictionary(pa.int8(), pa.string())
OFFCPU = _event(
    {
        "ts": TS,
        "blocked": (pa.duration("ns"), "ns", "time until the wake-up"),
        "runnable": (pa.duration("ns"), "ns", "time from there"),
        "pid": PID,
        "tid": TID,
        "waker_pid": PID,
        "waker_tid": TID,
        "cpu": CPU,
        "state": (_TEXT, "1", "why it left the CPU"),
        "waker": (_TEXT, "1", "in what the wake-up happened"),
        "stack_id": (pa.uint32(), "1", "stack"),
        "weight": (pa.uint32(), "1", "periods"),
    }
)
SCHEMAS = {
    "syscalls": SYSCALLS,
    "syscalls_agg": SYSCALLS_AGG,
    "cpu": CPU_SAMPLES,
    "offcpu": OFFCPU,
}

# (seconds, event, pid, tid, ppid, comm, exe, cmdline, exit_code)
PROCESSES: list[tuple[float, str, int, int, int, str, str, str, int | None]] = [
    (0.0, "snapshot", 1, 1, 0, "systemd", "/usr/lib/systemd/systemd", "/sbin/init", None),
    (0.0, "snapshot", 1000, 1000, 1, "bash", "/usr/bin/bash", "-bash", None),
    (0.0, "snapshot", 1000, 1001, 1, "worker-0", "/usr/bin/bash", "-bash", None),
    (1.0, "fork", 2000, 2000, 1000, "bash", "/usr/bin/bash", "-bash", None),
    (1.5, "exec", 2000, 2000, 1000, "python3", "/usr/bin/python3", "python3 job.py", None),
    (3.0, "rename", 2000, 2000, 1000, "job", "/usr/bin/python3", "python3 job.py", None),
    (4.0, "fork", 2100, 2100, 2000, "job", "/usr/bin/python3", "python3 job.py", None),
    (4.2, "exec", 2100, 2100, 2000, "cat", "/usr/bin/cat", "cat 'a file'", None),
    (6.0, "exit", 2100, 2100, 2000, "cat", "/usr/bin/cat", "cat 'a file'", 1 << 8),
    (7.0, "fork", 2100, 2100, 1000, "bash", "/usr/bin/bash", "-bash", None),
    (7.1, "exec", 2100, 2100, 1000, "grep", "/usr/bin/grep", "grep x", None),
    (9.5, "exit", 2100, 2100, 1000, "grep", "/usr/bin/grep", "grep x", 0),
]
# tid -> pid, first and last second in which it does something
THREADS = {
    1: (1, 0.0, 10.0),
    1000: (1000, 0.0, 10.0),
    1001: (1000, 0.0, 10.0),
    1002: (1000, 0.0, 10.0),
    2000: (2000, 1.0, 10.0),
    2100: (2100, 4.0, 9.5),
    9999: (9999, 0.0, 10.0),  # in no row: comm is ""
}

# (function, file, line, module, build_id, offset, kind)
FRAMES: list[tuple[str, str | None, int | None, str, str, int, str]] = [
    ("main", "job.c", 10, "/usr/bin/job", "ab" * 20, 0x1000, "native"),
    ("compute", "job.c", 42, "/usr/bin/job", "ab" * 20, 0x1100, "native"),
    ("helper", "job.h", 7, "/usr/bin/job", "ab" * 20, 0x1104, "inlined"),
    ("memcpy", None, None, "/usr/lib/libc.so.6", "cd" * 20, 0x9000, "native"),
    ("<module>", "job.py", 1, "job.py", "", 0, "python"),
    ("handle", "job.py", 20, "job.py", "", 0, "python"),
    ("entry_SYSCALL_64", None, None, "[kernel]", "", 0xFFFFFFFF82000080, "kernel"),
    ("do_syscall_64", None, None, "[kernel]", "", 0xFFFFFFFF81001000, "kernel"),
    ("vfs_read", None, None, "[kernel]", "", 0xFFFFFFFF81234560, "kernel"),
    ("LazyCompile:~f", None, None, "[anon]", "", 0x7F0000001000, "jit"),
    ("[unknown]", None, None, "[unknown]", "", 0xDEAD, "unknown"),
]
# root first, indices into FRAMES; the table holds them leaf first
STACKS: list[list[int]] = [
    [0, 1],
    [0, 1, 2],
    [0, 1, 3],
    [0, 1, 3, 6, 7, 8],
    [4, 5],
    [4, 5, 9],
    [4, 5, 6, 7],
    [10],
]

NRS = np.array([0, 1, 3, 257, 202, 35, 999], np.uint16)  # x86_64; the last one has no name
NR_SHARE = np.array([0.4, 0.3, 0.1, 0.1, 0.05, 0.04, 0.01])
ERRNOS = np.array([2, 4, 11, 110])


@dataclass(frozen=True)
class Truth:
    """What a synthetic session holds: columns by table, and the thread name of each event."""

    columns: dict[str, dict[str, np.ndarray]]
    comm: dict[str, np.ndarray] = field(default_factory=dict)

    def folded(self, table: str = "cpu") -> dict[str, int]:
        """Weight by ``comm;root;...;leaf``."""
        result: dict[str, int] = {}
        data = self.columns[table]
        for comm, stack, weight in zip(
            self.comm[table], data["stack_id"], data["weight"], strict=True
        ):
            frames = [FRAMES[i][0] for i in STACKS[stack]]
            key = ";".join([comm, *frames])
            result[key] = result.get(key, 0) + int(weight)
        return result


def comm_at(tid: int, pid: int, ts: int) -> str:
    """Return the thread name by the rule of the session format, the slow and plain way."""
    for thread in (tid, pid):
        rows = [(START + round(row[0] * SECOND), row[5]) for row in PROCESSES if row[3] == thread]
        if rows:
            before = [name for at, name in rows if at <= ts]
            return before[-1] if before else rows[0][1]
    return ""


@cache
def truth(kinds: tuple[str, ...] = ("syscalls", "cpu"), rows: int = 10_000, seed: int = 0) -> Truth:
    """Return what ``make_session`` with the same arguments writes."""
    columns = {}
    for index, kind in enumerate(kinds):
        rng = np.random.default_rng([seed, index])
        if kind == "syscalls_agg":
            columns[kind] = _aggregated(rng)
        else:
            columns[kind] = _common(rng, rows)
            columns[kind] |= _OWN_COLUMNS[kind](rng, rows)
    comm = {}
    for kind, data in columns.items():
        tids = data.get("tid", data["pid"])
        comm[kind] = np.array(
            [
                comm_at(t, p, n)
                for t, p, n in zip(
                    tids.tolist(), data["pid"].tolist(), data["ts"].tolist(), strict=True
                )
            ]
        )
    return Truth(columns, comm)


def _common(rng: np.random.Generator, rows: int) -> dict[str, np.ndarray]:
    tid = rng.choice(np.array(list(THREADS), np.uint32), rows)
    first, last = (np.array([THREADS[t][k] for t in tid.tolist()]) for k in (1, 2))
    ts = START + ((first + rng.random(rows) * (last - first)) * SECOND).astype(np.int64)
    order = np.argsort(ts, kind="stable")
    # Rings are drained CPU by CPU: batches overlap a little in time.
    order = order[np.argsort(np.arange(rows) + rng.integers(0, 50, rows), kind="stable")]
    tid, ts = tid[order], ts[order]
    pid = np.array([THREADS[t][0] for t in tid.tolist()], np.uint32)
    return {"ts": ts, "cpu": rng.integers(0, 2, rows).astype(np.uint16), "pid": pid, "tid": tid}


def _syscalls(rng: np.random.Generator, rows: int) -> dict[str, np.ndarray]:
    failed = rng.random(rows) < 0.05
    ret = np.where(failed, -rng.choice(ERRNOS, rows), rng.integers(0, 1 << 40, rows))
    ret[:: max(rows // 7, 1)] = -4096  # large and negative, but no error
    return {
        "nr": rng.choice(NRS, rows, p=NR_SHARE),
        "ret": ret.astype(np.int64),
        "latency": rng.lognormal(7, 2, rows).astype(np.int64),
        "args": rng.integers(0, 1 << 63, (rows, 6), np.uint64, endpoint=True),
    }


def _samples(rng: np.random.Generator, rows: int) -> dict[str, np.ndarray]:
    return {
        "stack_id": rng.integers(0, len(STACKS), rows).astype(np.uint32),
        "weight": rng.integers(1, 4, rows).astype(np.uint32),
    }


def _periods(rng: np.random.Generator, rows: int) -> dict[str, np.ndarray]:
    state = rng.choice(["sleeping", "preempted", "uninterruptible"], rows, p=[0.7, 0.2, 0.1])
    waker = np.where(state == "preempted", "none", rng.choice(["task", "interrupt"], rows))
    tid = np.where(waker == "task", 1001, 0).astype(np.uint32)
    return _samples(rng, rows) | {
        "blocked": np.where(state == "preempted", 0, rng.lognormal(13, 2, rows)).astype(np.int64),
        "runnable": rng.lognormal(10, 1, rows).astype(np.int64),
        "waker_pid": np.where(tid == 0, 0, 1000).astype(np.uint32),
        "waker_tid": tid,
        "state": state,
        "waker": waker,
    }


_OWN_COLUMNS = {"syscalls": _syscalls, "cpu": _samples, "offcpu": _periods}


def _aggregated(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return the last snapshot: one row per process and system call, ordered by both."""
    pid = np.repeat(np.unique([p for p, _, _ in THREADS.values()]), len(NRS)).astype(np.uint32)
    nr = np.tile(np.sort(NRS), len(pid) // len(NRS))
    hist = rng.integers(0, 100, (len(pid), 64)).astype(np.uint64)
    hist[:, 30:] = 0
    calls = hist.sum(axis=1)
    middle = 3 * 2 ** np.arange(64, dtype=np.float64) / 2
    return {
        "ts": np.full(len(pid), START + DURATION, np.int64),
        "pid": pid,
        "nr": nr,
        "calls": calls,
        "errors": calls // np.uint64(10),
        "latency_sum": (hist * middle).sum(axis=1).astype(np.int64),
        "latency_hist": hist,
    }


def batch_of(kind: str, data: dict[str, np.ndarray]) -> pa.RecordBatch:
    """Return the columns of an event table as one batch with the schema of its stream."""
    schema = SCHEMAS[kind]
    arrays = []
    for item in schema:
        values = data[item.name]
        if pa.types.is_fixed_size_list(item.type):
            flat = pa.array(np.ascontiguousarray(values).reshape(-1))
            arrays.append(pa.FixedSizeListArray.from_arrays(flat, type=item.type))
        else:
            arrays.append(pa.array(values).cast(item.type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def side_batches() -> dict[str, list[pa.RecordBatch]]:
    """Return the batches of the tables processes, stacks and frames."""
    rows = [
        dict(
            zip(
                ("ts", "event", "pid", "tid", "ppid", "comm", "exe", "cmdline", "exit_code"),
                (START + round(row[0] * SECOND), *row[1:]),
                strict=True,
            ),
            cgroup="/user.slice",
        )
        for row in PROCESSES
    ]
    names = ("function", "file", "line", "module", "build_id", "offset", "kind")
    frames = [{"frame_id": i, **dict(zip(names, row, strict=True))} for i, row in enumerate(FRAMES)]
    stacks = [{"stack_id": i, "frame_ids": stack[::-1]} for i, stack in enumerate(STACKS)]
    early = [dict(frames[1], function="[not yet known]")]  # is replaced by a later row
    return {
        "processes": [_side("processes", rows[:5]), _side("processes", rows[5:])],
        "stacks": [_side("stacks", stacks)],
        "frames": [_side("frames", early), _side("frames", frames)],
    }


def _side(table: str, rows: list[dict[str, Any]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(rows, schema=arrow_schema(SIDE_TABLES[table]))


def manifest(kinds: Sequence[str], rows: int, seed: int) -> Manifest:
    """Return the manifest; every kind lost 2 % of what it produced."""
    return Manifest(
        kinds={kind: {"hz": 99} if kind == "cpu" else {"pid": 2000} for kind in kinds},
        start_ns=START,
        objects=dict.fromkeys(kinds, "0" * 64),
        target={"pid": 2000, "command": ["python3", "job.py"]},
        host={
            "node": "synthetic",
            "machine": "x86_64",
            "kernel": "6.18.0",
            "cpus": 2,
            "boot_id": "00000000-0000-0000-0000-000000000000",
        },
        clock={"offset_start_ns": START - 5 * SECOND, "offset_stop_ns": None},
    )


def final_changes(kinds: Sequence[str], rows: int) -> dict[str, Any]:
    """Return what the recorder adds to the manifest at the end."""
    lost = rows // 50
    return {
        "stop_ns": START + DURATION,
        "clock": {"offset_start_ns": START - 5 * SECOND, "offset_stop_ns": START - 5 * SECOND + 7},
        "losses": tuple(
            {
                "kind": kind,
                "cpu": cpu,
                "produced": rows // 2 + lost,
                "delivered": rows // 2,
                "dropped": {"ring_full": lost},
            }
            for kind in kinds
            for cpu in (0, 1)
        ),
        "overhead": tuple(
            {
                "kind": kind,
                "program": f"wb_{kind}",
                "run_count": rows + 2 * lost,
                "run_time_ns": 150 * rows,
                "sampled_ns": DURATION,
                "ns_per_run": 150.0,
                "cpu_share": 150 * rows / DURATION,
            }
            for kind in kinds
        ),
        "recorder": {"cpu_ns": SECOND // 10, "wall_ns": DURATION, "max_rss_bytes": 80 << 20},
    }


def write_streams(
    path: str | Path,
    *,
    kinds: Sequence[str] = ("syscalls", "cpu"),
    rows: int = 10_000,
    seed: int = 0,
    batch_rows: int = BATCH_ROWS,
) -> SessionWriter:
    """Write a session up to the moment before it is finished, and return its writer."""
    answer = truth(tuple(kinds), rows, seed)
    writer = SessionWriter.create(path, manifest(kinds, rows, seed))
    for table, batches in side_batches().items():
        for batch in batches:
            writer.append(table, batch)
    for kind in kinds:
        batch = batch_of(kind, answer.columns[kind])
        writer.add_table(kind, batch.schema)
        if kind == "syscalls_agg":
            half = dict(answer.columns[kind])
            half["calls"] = half["calls"] // np.uint64(2)
            half["ts"] = half["ts"] - SECOND
            writer.append(kind, batch_of(kind, half).slice(3))
        for at in range(0, batch.num_rows, batch_rows):
            writer.append(kind, batch.slice(at, batch_rows))
    writer.update()
    return writer


def make_session(
    path: str | Path,
    *,
    kinds: Sequence[str] = ("syscalls", "cpu"),
    rows: int = 10_000,
    seed: int = 0,
    saved: bool = True,
) -> Path:
    """Write a synthetic session and return its path.

    Parameters
    ----------
    path : path
        Where; the parent directory exists.
    kinds : sequence of str
        ``syscalls``, ``cpu``, ``offcpu`` and ``syscalls_agg``.
    rows : int
        Rows of each event table.
    seed : int
        Same arguments, same content.
    saved : bool
        One file (zip) when true, else a finished directory.
    """
    path = Path(path)
    directory = path.with_name(path.name + ".dir") if saved else path
    writer = write_streams(directory, kinds=kinds, rows=rows, seed=seed)
    writer.finish(reason="duration reached", **final_changes(kinds, rows))
    if saved:
        import shutil

        from workbench.store.archive import pack

        pack(directory, path)
        shutil.rmtree(directory)
    return path


def start_of(session):
    return session.manifest.start_ns


def selections(session):
    start = start_of(session)
    return {
        "all": session,
        "window": session.window(1.25, 7.5),
        "open": session.window(None, 5.0),
        "one ns": session.window(start + 1_234_567_891, start + 6_000_000_001),
        "far": session.window(start - 10**18, None),
        "values": session.where(comm=["worker-0", "worker-2"], pid=1000).window(0.5, 9.0),
        "twice": session.where(name=["read", "write"]).where(name=["write", "futex"]),
        "cpu": session.where(cpu=1, tid=range(1000, 1002)),
    }
