"""A table of N entries, written and read into a dataframe: ``HOW N OBJECT``.

Each says how long it took, in seconds, and has checked that the dataframe is right.
"""

from __future__ import annotations

import ctypes
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import polars as pl
import pyarrow  # noqa: F401 - the workbench imports it when it is needed

from benches import bcc_tree
from benches.consumers import fail, say
from workbench.errors import WorkbenchError
from workbench.probe.objects import Object
from workbench.probe.open_map import OpenMap
from workbench.probe.typed_map import TypedMap, of_object

SOURCE = Path(__file__).parent.parent / "bpf" / "table.bcc.c"
T = TypeVar("T")
Frame = Callable[[], pl.DataFrame]


def numbers(count: int) -> np.ndarray:
    """Keys and values: entry ``n`` has the values ``3 n`` and ``5 n``."""
    return np.arange(count, dtype=np.uint64)[:, None] * np.array([1, 3, 5], np.uint64)


def told(count: int, write: Callable[[], object] | None, read: Frame) -> None:
    """Time both, check what was read, and say it: wall time and CPU time, with children."""
    if write is not None:
        read()  # of the empty table: what is imported where it is first used is, by now
        written, cpu_written = timed(write)[1:]
    frame, took, cpu = timed(read)
    sums = [int(frame[name].sum()) for name in ("key", "calls", "ns")]
    if frame.height != count or sums != [int(n) for n in numbers(count).sum(axis=0)]:
        fail(f"what was read is wrong: {frame.height} entries, sums {sums}")
    found = {"read": took, "cpu_read": cpu}
    if write is not None:
        found |= {"write": written, "cpu_write": cpu_written}
    say(found)


def timed(do: Callable[[], T]) -> tuple[T, float, float]:
    """Call; return the result, and the wall and CPU time in seconds."""
    cpu, start = cpu_seconds(), time.perf_counter()
    result = do()
    return result, time.perf_counter() - start, cpu_seconds() - cpu


def cpu_seconds() -> float:
    """CPU time of this process and its ended children."""
    both = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in both)


def batches(table: TypedMap, count: int) -> Callable[[], object]:
    """Write as the workbench does."""
    rows = numbers(count)
    keys, values = np.ascontiguousarray(rows[:, :1]), np.ascontiguousarray(rows[:, 1:])
    return lambda: table.raw.update_batch(keys.view(np.uint8), values.view(np.uint8))


def workbench(count: int, path: str) -> None:
    """Batches both ways, columns by numpy and Arrow."""
    with Object(path) as made:
        made.load()
        table = of_object(made.btf, made.maps["table"])
        told(count, batches(table, count), table.polars)


def bpftool(count: int, path: str) -> None:
    """``bpftool map dump`` as JSON."""
    with Object(path) as made:
        made.load()
        table = of_object(made.btf, made.maps["table"])
        batches(table, count)()
        assert isinstance(table.raw, OpenMap)
        command = ["bpftool", "-j", "map", "dump", "id", str(table.raw.id)]

        def read() -> pl.DataFrame:
            done = subprocess.run(command, check=True, capture_output=True)
            entries = [entry["formatted"] for entry in json.loads(done.stdout)]
            return pl.DataFrame([{"key": e["key"], **e["value"]} for e in entries])

        told(count, None, read)


def bcc_table() -> Any:
    """BCC's table, and the program that it is of, which has to be kept."""
    with tempfile.TemporaryDirectory(prefix="workbench-bench-") as directory:
        try:
            bcc = bcc_tree.load(Path(directory))
        except ImportError as error:
            fail(str(error))
        program = bcc.BPF(text=SOURCE.read_text())
    return program, program["table"]


def frame_of(rows: list[tuple[int, int, int]]) -> pl.DataFrame:
    """A dataframe of what a loop has put together."""
    return pl.DataFrame(rows, schema=["key", "calls", "ns"], orient="row")


def bcc_loop(count: int, _: str) -> None:
    """A table of BCC as a dict."""
    _program, table = bcc_table()

    def write() -> None:
        for n in range(count):
            table[ctypes.c_ulonglong(n)] = table.Leaf(3 * n, 5 * n)

    # As BCC's own tools read it.
    told(count, write, lambda: frame_of([(k.value, v.calls, v.ns) for k, v in table.items()]))


def bcc_batch(count: int, _: str) -> None:
    """BCC's batches, whose results are objects of ctypes one by one."""
    _program, table = bcc_table()
    rows = numbers(count)

    def write() -> None:
        keys, values = (table.Key * count)(), (table.Leaf * count)()
        np.frombuffer(keys, np.uint64)[:] = rows[:, 0]
        np.frombuffer(values, np.uint64).reshape(count, 2)[:] = rows[:, 1:]
        table.items_update_batch(keys, values)

    told(
        count,
        write,
        lambda: frame_of([(k, v.calls, v.ns) for k, v in table.items_lookup_batch()]),
    )


if __name__ == "__main__":
    try:
        how = {each.__name__: each for each in (workbench, bpftool, bcc_loop, bcc_batch)}
        how[sys.argv[1]](int(sys.argv[2]), sys.argv[3])
    except (WorkbenchError, OSError, subprocess.CalledProcessError) as error:
        fail(str(error))
