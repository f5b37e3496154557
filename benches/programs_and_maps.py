"""Loading, attaching and detaching programs, and reading and writing their maps.

Each row runs in a process of its own, whose imports are not counted.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benches.child import Child
from benches.harness import ROOT, BenchError, Plan, Result, middle
from benches.programs import compiled
from workbench.cache_home import cache_home
from workbench.cells.core_engine import vmlinux

ENTRIES = 100_000
WORKBENCH, CELL, BCC, BPFTRACE = "workbench", "workbench, cell in BCC's C", "BCC", "bpftrace"
BCC_LOOP, BCC_BATCH, BPFTOOL = "BCC, as a dict", "BCC, batches", "bpftool map dump"
ATTACH_COLUMNS = {
    "load": "s to load",
    "attach": "to attach",
    "detach": "to detach",
    "total": "in all",
    "note": "",
}
TABLE_COLUMNS = {
    "write_per_s": "entries written/s",
    "write_per_cpu_s": "per CPU s",
    "read_per_s": "read/s",
    "read_per_cpu_s": "per CPU s",
    "note": "",
}
ATTACH_ROWS = {
    WORKBENCH: ("compiled_before", "CO-RE, compiled before"),
    CELL: ("cell", "compiled in a child, which LLVM may end"),
    BCC: ("bcc", "compiled, with the same headers"),
    BPFTRACE: ("bpftrace", "the whole run, compiled"),
}
TABLE_ROWS = {
    WORKBENCH: ("workbench", "from numpy, to polars"),
    BCC_LOOP: ("bcc_loop", "entry by entry; items() to polars"),
    BCC_BATCH: ("bcc_batch", "items_update_batch(), items_lookup_batch() to polars"),
    BPFTOOL: ("bpftool", "JSON to polars"),
}


@contextmanager
def _object() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="workbench-bench-") as directory:
        kernel = vmlinux(cache_home() / "workbench" / "core")
        source = ROOT / "benches" / "bpf" / "table.bpf.c"
        yield str(compiled(source, Path(directory), f"-I{kernel}"))


def run_attach(plan: Plan) -> Result:
    """One program at 50 functions of the C library of a process that waits."""
    title = "One program at 50 functions of a process (uprobes)"
    result = Result("attach", title, ATTACH_COLUMNS)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as waiting:
        try:
            assert waiting.stdin
            assert waiting.stdout
            waiting.stdin.write(b"x")
            waiting.stdin.flush()
            waiting.stdout.read(1)  # its libraries are there
            rows = _measured(result, ATTACH_ROWS, "attaching", str(waiting.pid), plan.rounds)
        finally:
            waiting.kill()
    result.rows += rows
    return result


def run_maps(plan: Plan, entries: int = ENTRIES) -> Result:
    """A hash map of 8-byte keys and 16-byte values, written, and read into a dataframe."""
    title = f"A map of {entries:,} entries (keys of 8 bytes, values of 16)"
    result = Result("maps", title, TABLE_COLUMNS)
    for row in _measured(result, TABLE_ROWS, "table_access", str(entries), plan.rounds):
        rates = {
            f"{way}_per_{word}s": entries / row[key] if row.get(key) else None
            for way in ("write", "read")
            for word, key in (("", way), ("cpu_", f"cpu_{way}"))
        }
        result.rows.append(row | rates)
    return result


def _measured(
    result: Result, rows: dict[str, tuple[str, str]], module: str, word: str, rounds: int
) -> list[dict[str, Any]]:
    """Measure the rows in turn, ``rounds`` times, and take medians."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in rows}
    failed: dict[str, str] = {}
    try:
        with _object() as path:
            for _ in range(rounds):
                for name, (how, _note) in rows.items():
                    try:
                        with Child(module, how, word, path) as child:
                            found[name].append(child.hear(60.0))
                    except BenchError as error:
                        failed[name] = str(error)
    except (OSError, subprocess.CalledProcessError) as error:
        result.notes.append(f"A program cannot be compiled: {error}")
    return [
        {"name": name, **(middle(found[name]) if found[name] else {})}
        | {"note": failed.get(name, note)}
        for name, (_, note) in rows.items()
    ]
