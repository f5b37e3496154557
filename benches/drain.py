"""Events per second into a dataframe, and what that costs the traced program.

Every row traces the same workload: dd, which reads and writes one byte at a time and so makes
nothing but system calls. An event is one system call with its entry time, latency, return value,
arguments, number, process, thread and CPU; all peers send the same fields.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import workbench as wb
from benches.harness import (
    ROOT,
    BenchError,
    Child,
    Plan,
    Result,
    middle,
    rates,
    snapshot,
    workload,
)
from benches.programs import compiled

UNTRACED, COUNT = "untraced", "count only"
WORKBENCH, BCC_DEFAULT, BCC_BEST = "workbench", "BCC perf buffer, default", "BCC perf buffer, best"
BCC_RING, BPFTRACE = "BCC ring buffer", "bpftrace | pandas"

COLUMNS = {
    "calls_per_s": "calls/s",
    "ns_per_call": "ns CPU a call",
    "slowed_untraced": "slowed ×, against untraced",
    "slowed_count": "against count only",
    "delivered_per_s": "delivered/s",
    "dropped_share": "lost",
    "consumer_cpu": "consumer CPU",
    "note": "",
}
SETTLE_S = 1.2
"""The recorder drains more often in its first second, and imports pyarrow in it."""

BEST_WAKEUP_EVENTS, BEST_PAGES = 1000, 4096
"""The setting of BCC that delivered most here (see ``--sweep``); 4096 pages are 16 MiB a CPU."""
RING_PAGES = 16384  # 64 MiB, as the workbench's ring
BPFTRACE_PAGES = 4096

Measure = Callable[[Plan], dict[str, Any]]


def untraced(plan: Plan) -> dict[str, Any]:
    """The workload alone."""
    with workload() as dd:
        time.sleep(plan.warm_up)
        before = snapshot(dd)
        time.sleep(plan.window)
        return {**rates(before, snapshot(dd)), "consumer_cpu": None}


def consumer(plan: Plan, module: str, *arguments: str) -> dict[str, Any]:
    """A consumer in a process of its own."""
    with workload() as dd, Child(module, str(dd), *arguments) as child:
        child.hear()
        time.sleep(plan.warm_up)
        before = child.snapshot()
        time.sleep(plan.window)
        return rates(before, child.snapshot())


def workbench(plan: Plan) -> dict[str, Any]:
    """The whole path: recorder process, Arrow, disk, a session that is read while it grows."""
    with workload() as dd:
        capture = wb.capture("syscalls", pid=dd, progress=False).start()
        try:
            time.sleep(max(plan.warm_up, SETTLE_S))
            session = capture.session

            def take() -> Any:
                session.refresh()
                dropped = sum(s["dropped"].get("ring_full", 0) for s in session.manifest.losses)
                rows = session["syscalls"].num_rows
                return snapshot(dd, [capture.recorder_pid], delivered=rows, dropped=dropped)

            before = take()
            time.sleep(plan.window)
            row = rates(before, take())
        finally:
            begin = time.monotonic()
            session = capture.stop()
    return row | _whole(session, time.monotonic() - begin)


def _whole(session: Any, saved: float) -> dict[str, Any]:
    """Totals of a finished capture, which are exact; removes the session."""
    losses, recorder = session.losses, session.manifest.recorder
    totals = {name: int(losses[name].sum()) for name in ("produced", "delivered", "dropped")}
    rows = session["syscalls"].num_rows
    exact = totals["produced"] == totals["delivered"] + totals["dropped"]
    if not exact or rows != totals["delivered"]:
        raise BenchError(f"the account does not add up: {totals}, {rows} rows")
    disk = sum(file.stat().st_size for file in session.path.iterdir())
    session.close()
    shutil.rmtree(session.path)
    return totals | {
        "dropped_share": totals["dropped"] / totals["produced"],
        "recorder": dict(recorder),
        "seconds_to_parquet": saved,
        "bytes_per_event": disk / rows,
        "note": f"all {rows:,} events accounted for",
    }


def measures(objects: Path) -> dict[str, tuple[Measure, str]]:
    """All rows in their order: the function that measures, and a note."""
    count = str(compiled(ROOT / "benches" / "bpf" / "count.bpf.c", objects))
    bcc = partial(_consumer, "bcc_callbacks")
    csv = partial(_consumer, "bpftrace_csv")
    best = f"wakeup_events={BEST_WAKEUP_EVENTS}, page_cnt={BEST_PAGES}"
    return {
        UNTRACED: (untraced, ""),
        "count only, entry": (_consumer("count", count, "count_enter"), "one hook, not two"),
        COUNT: (_consumer("count", count, "count_enter", "count_exit"), "the limit"),
        WORKBENCH: (workbench, ""),
        "workbench's drain alone, ring": (_consumer("bare", "ring"), "copied, not written"),
        "workbench's drain alone, perf": (_consumer("bare", "perf"), "copied, not written"),
        BCC_DEFAULT: (bcc("perf", "1", "8"), "wake-up for each event, 8 pages"),
        BCC_BEST: (bcc("perf", str(BEST_WAKEUP_EVENTS), str(BEST_PAGES)), best),
        BCC_RING: (bcc("ring", "0", str(RING_PAGES)), "ring_buffer_poll may never return"),
        BPFTRACE: (csv("pandas", str(BPFTRACE_PAGES)), "printf of CSV"),
        "bpftrace | polars": (csv("polars", str(BPFTRACE_PAGES)), "printf of CSV"),
    }


def _consumer(module: str, *arguments: str) -> Measure:
    return lambda plan: consumer(plan, module, *arguments)


def run(plan: Plan) -> Result:
    """Measure all rows, ``plan.rounds`` times in turn, and take medians."""
    result = Result("drain", "Drain throughput and slow-down of the traced program", COLUMNS)
    with tempfile.TemporaryDirectory(prefix="workbench-bench-") as directory:
        try:
            todo = measures(Path(directory))
        except (OSError, subprocess.CalledProcessError) as error:
            result.notes.append(f"The count-only program cannot be compiled: {error}")
            return result
        rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in todo}
        failed: dict[str, str] = {}
        for _ in range(plan.rounds):
            for name, (measure, _note) in todo.items():
                try:
                    rounds[name].append(measure(plan))
                except (BenchError, wb.WorkbenchError) as error:
                    failed[name] = str(error)
        for name, (_measure, note) in todo.items():
            row = middle(rounds[name]) if rounds[name] else {}
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
