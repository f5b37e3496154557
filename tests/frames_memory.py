"""A recording of memory whose allocations, ends and weights are known."""

import polars as pl
from fake_recording import FakeRecording

SECOND = 1_000_000_000
MEMORY = {
    "ts": pl.Datetime("ns", "UTC"),
    "born": pl.Datetime("ns", "UTC"),
    "address": pl.UInt64,
    "size": pl.UInt64,
    "pid": pl.UInt32,
    "tid": pl.UInt32,
    "op": pl.Categorical,
    "stack_id": pl.UInt32,
    "weight": pl.UInt32,
}


def event(op, at, address, size=10, born=None, **more):
    row = {"ts": at * SECOND, "born": (at if born is None else born) * SECOND, "op": op}
    return row | {"address": address, "size": size, "pid": 1, "tid": 1, "stack_id": 0} | {
        "weight": 1, **more
    }  # fmt: skip


def recording(rows, exits=()):
    schema = {k: pl.Int64 if v == pl.Datetime("ns", "UTC") else v for k, v in MEMORY.items()}
    memory = pl.DataFrame(rows, schema=schema).cast(MEMORY)
    processes = [
        {"ts": at * SECOND, "event": "exit", "pid": pid, "tid": pid} for pid, at in exits
    ] or [{"ts": 0, "event": "snapshot", "pid": 1, "tid": 1}]
    return FakeRecording(memory=memory, processes=processes)


ROWS = [
    event("alloc", 1, 100, 10, weight=3),
    event("alloc", 2, 200, 20),
    event("free", 4, 100, 10, born=1, weight=3),
    event("alloc", 5, 100, 7),  # the address again
    event("alloc", 6, 100, 50, pid=2, tid=2, stack_id=1),
    event("alloc", 6, 300, 1, stack_id=1),
    event("free", 8, 300, 1, born=6),
    event("map", 9, 4096, 8192, stack_id=2),
    event("fault", 9, 4096, 4096, stack_id=2),
    event("unmap", 9, 4096, 4096, stack_id=3),
]
