"""Events per second into a dataframe, and what that costs the traced program.

Every row traces the same workload: dd, which reads and writes one byte at a time and so makes
nothing but system calls. All rows of a table send the same fields:

``entry``, ``entry-busy``
    One hook, one record, no state (``benches/bpf/entry.*``): the way from the kernel to the table,
    and nothing else.
``drain``, ``drain-busy``
    The kind ``syscalls``: two hooks and what lies between them. An event is one system call with
    its entry time, latency, return value, arguments, number, process, thread and CPU.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Container
from pathlib import Path
from typing import Any

import workbench as wb
from benches.child import Child
from benches.harness import (
    ROOT,
    BenchError,
    Plan,
    Result,
    Snapshot,
    middle,
    rates,
    snapshot,
    workload,
)
from benches.programs import compiled

UNTRACED, COUNT = "untraced", "count only"
WORKBENCH, BCC_DEFAULT, BCC_BEST = "workbench", "BCC perf buffer, default", "BCC perf buffer, best"
BCC_RING = "BCC ring buffer"
CELL = "workbench, cell in BCC's C"
BPFTRACE, BPFTRACE_POLARS = "bpftrace | pandas", "bpftrace | polars"

COLUMNS = {
    "calls_per_s": "calls/s",
    "ns_per_call": "ns CPU a call",
    "slowed_untraced": "× slower than untraced",
    "slowed_count": "than count",
    "delivered_per_s": "delivered/s",
    "delivered_per_cpu_s": "per CPU s",
    "dropped_share": "lost",
    "consumer_cpu": "consumer CPU",
    "note": "",
}
SETTLE_S = 1.2
"""The recorder drains more often in its first second, and imports pyarrow in it."""

BEST_WAKEUP_EVENTS, BEST_PAGES = 1000, 4096
"""The setting of BCC that delivered most here; 4096 pages are 16 MiB a CPU."""
BEST = f"wakeup_events={BEST_WAKEUP_EVENTS}, page_cnt={BEST_PAGES}"
RING_PAGES = 16384  # 64 MiB, as the workbench's ring
BPFTRACE_PAGES = 4096

Measure = Callable[[Plan, int], dict[str, Any]]
"""Takes the plan and how many dd run at once; returns a row."""


def untraced(plan: Plan, count: int) -> dict[str, Any]:
    """The workload alone."""
    with workload(count) as load:
        time.sleep(plan.warm_up)
        before = snapshot(load)
        time.sleep(plan.window)
        return {**rates(before, snapshot(load)), "consumer_cpu": None}


def consumer(module: str, *arguments: str) -> Measure:
    """A consumer in a process of its own, see :mod:`benches.consumers`."""

    def measure(plan: Plan, count: int) -> dict[str, Any]:
        with workload(count) as load, Child(module, str(load), *arguments) as child:
            child.hear()
            time.sleep(plan.warm_up)
            before = child.snapshot()
            time.sleep(plan.window)
            return rates(before, child.snapshot())

    return measure


def workbench(plan: Plan, count: int) -> dict[str, Any]:
    """The whole path: recorder process, Arrow, disk, a session that is read while it grows."""
    with _directory() as directory, workload(count) as load:
        output = Path(directory, "dd.wb")
        capture = wb.capture("syscalls", pid=load.root, output=output, progress=False).start()
        try:
            time.sleep(max(plan.warm_up, SETTLE_S))
            session = capture.session

            def take() -> Snapshot:
                session.refresh()
                rows = session["syscalls"].num_rows
                return snapshot(load, [capture.recorder_pid], delivered=rows)

            before = take()
            time.sleep(plan.window)
            row = rates(before, take())
        finally:
            begin = time.monotonic()
            session = capture.stop()
        return row | _whole(session, time.monotonic() - begin)


def _directory() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="workbench-bench-")


def _whole(session: Any, saved: float) -> dict[str, Any]:
    """Totals of a finished capture, which are exact."""
    losses, recorder = session.losses, session.manifest.recorder
    losses = losses.filter(losses["kind"] == "syscalls")
    totals = {name: int(losses[name].sum()) for name in ("produced", "delivered", "dropped")}
    rows = session["syscalls"].num_rows
    disk = session.path.stat().st_size
    session.close()
    if totals["produced"] != rows + totals["dropped"]:
        raise BenchError(f"the account does not add up: {totals}, {rows} rows")
    return totals | {
        "dropped_share": totals["dropped"] / totals["produced"],
        "recorder": dict(recorder),
        "seconds_to_save": saved,
        "bytes_per_event": disk / rows,
        "note": f"{rows / 1e6:.1f} M events, every one accounted for",
    }


def _bcc(name: str) -> dict[str, tuple[Measure, str]]:
    """Rows of BCC's callbacks with a program of ``benches/bpf``."""
    best = ("perf", str(BEST_WAKEUP_EVENTS), str(BEST_PAGES))
    return {
        BCC_DEFAULT: (
            consumer("bcc_callbacks", "perf", "1", "8", name),
            "wakes up for each event",
        ),
        BCC_BEST: (consumer("bcc_callbacks", *best, name), BEST),
        BCC_RING: (consumer("bcc_callbacks", "ring", "0", str(RING_PAGES), name), "64 MiB"),
    }


def entry_measures(objects: Path) -> dict[str, tuple[Measure, str]]:
    """Rows of the bench with one hook."""
    count, entry = (
        str(compiled(ROOT / "benches" / "bpf" / f"{name}.bpf.c", objects))
        for name in ("count", "entry")
    )
    return {
        UNTRACED: (untraced, ""),
        COUNT: (consumer("count", count, "count_enter"), "the limit"),
        WORKBENCH: (consumer("own_program", "entry", entry), "recorder, Arrow and disk"),
        CELL: (consumer("cell", "entry"), "the program of BCC's rows, kept in memory"),
        **_bcc("entry"),
        BPFTRACE: (consumer("bpftrace_csv", "pandas", str(BPFTRACE_PAGES), "entry"), "CSV"),
    }


def measures(objects: Path) -> dict[str, tuple[Measure, str]]:
    """All rows in their order: the function that measures, and a note."""
    count = str(compiled(ROOT / "benches" / "bpf" / "count.bpf.c", objects))
    return {
        UNTRACED: (untraced, ""),
        "count only, entry": (consumer("count", count, "count_enter"), "one hook, not two"),
        COUNT: (consumer("count", count, "count_enter", "count_exit"), "the limit"),
        WORKBENCH: (workbench, ""),
        "workbench's drain alone, ring": (consumer("bare", "ring"), "copied, not written"),
        "workbench's drain alone, perf": (consumer("bare", "perf"), "copied, not written"),
        **_bcc("syscalls"),
        BPFTRACE: (consumer("bpftrace_csv", "pandas", str(BPFTRACE_PAGES), "syscalls"), "CSV"),
        BPFTRACE_POLARS: (consumer("bpftrace_csv", "polars", str(BPFTRACE_PAGES), "syscalls"), ""),
    }


BUSY = (UNTRACED, COUNT, WORKBENCH, BCC_DEFAULT, BCC_BEST, BCC_RING)


def run_entry(plan: Plan) -> Result:
    """One hook, one dd: the drain itself."""
    title = "Drain throughput: one hook, one record an event (one dd)"
    return _run(Result("entry", title, COLUMNS), plan, plan.rounds, 1, None, entry_measures)


def run_entry_busy(plan: Plan) -> Result:
    """One hook, a dd on every CPU: as many events as the machine makes."""
    cpus = len(os.sched_getaffinity(0))
    title = f"Drain throughput: one hook, one record an event (a dd on each of {cpus} CPUs)"
    result = Result("entry-busy", title, COLUMNS)
    return _run(result, plan, plan.rounds_busy, cpus, BUSY, entry_measures)


def run(plan: Plan) -> Result:
    """One dd: a CPU is free for the consumer."""
    title = "The kind syscalls, two hooks an event (one dd)"
    return _run(Result("drain", title, COLUMNS), plan, plan.rounds, 1, None)


def run_busy(plan: Plan) -> Result:
    """A dd on every CPU: more events than one program makes, and no CPU to spare."""
    cpus = len(os.sched_getaffinity(0))
    title = f"The same with a dd on each of {cpus} CPUs"
    return _run(Result("drain-busy", title, COLUMNS), plan, plan.rounds_busy, cpus, BUSY)


def touch_pages(directory: Path, size: int) -> None:
    """Fill and free that many bytes of page cache.

    A virtual machine gets memory from its host when a page is first touched: writing a GiB to a
    file took 2.2 s of CPU time on new pages and 0.2 s on used ones. That is the host's time, not
    the recorder's, and comes once in a machine's life.
    """
    block = b"\1" * (1 << 22)
    with (directory / "pages").open("wb") as file:
        for _ in range(size // len(block)):
            file.write(block)
    (directory / "pages").unlink()


def _run(
    result: Result,
    plan: Plan,
    rounds: int,
    count: int,
    only: Container[str] | None,
    rows: Callable[[Path], dict[str, tuple[Measure, str]]] = measures,
) -> Result:
    """Measure the rows in turn, ``rounds`` times, and take medians."""
    with _directory() as directory:
        try:
            todo = rows(Path(directory))
        except (OSError, subprocess.CalledProcessError) as error:
            result.notes.append(f"A program cannot be compiled: {error}")
            return result
        todo = {name: row for name, row in todo.items() if only is None or name in only}
        touch_pages(Path(directory), plan.page_cache)
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in todo}
        failed: dict[str, str] = {}
        for _ in range(rounds):
            for name, (measure, _note) in todo.items():
                try:
                    found[name].append(measure(plan, count))
                except (BenchError, wb.WorkbenchError) as error:
                    failed[name] = str(error)
    for name, (_measure, note) in todo.items():
        row = middle(found[name]) if found[name] else {}
        row["note"] = failed.get(name) or row.get("note") or note
        result.rows.append({"name": name, **row})
    slow_downs(result.rows)
    return result


def slow_downs(rows: list[dict[str, Any]]) -> None:
    """Add to each row how many times fewer calls the workload makes than in two other rows."""
    calls = {row["name"]: row.get("calls_per_s") for row in rows}
    for row in rows:
        for key, base in (("slowed_untraced", UNTRACED), ("slowed_count", COUNT)):
            own, other = row.get("calls_per_s"), calls.get(base)
            row[key] = other / own if own and other else None
