"""What the benches share: the workload, child processes with deadlines, and CPU accounting."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

ROOT = Path(__file__).parent.parent
DEADLINE_S = 20.0
"""Longest wait for a word of a child; a child that misses it is killed and its row says so."""


class BenchError(Exception):
    """A row cannot be measured; the text says why."""


@dataclass(frozen=True)
class Plan:
    """How much is measured: lengths in seconds, ``rounds`` of which medians are taken.

    ``page_cache`` is how many bytes of it are touched first, see :func:`benches.drain.touch_pages`.
    """

    window: float = 3.0
    warm_up: float = 1.0
    rounds: int = 3
    rounds_busy: int = 2
    starts: int = 7
    events: int = 1 << 20
    page_cache: int = 3 << 29

    @classmethod
    def quick(cls) -> Plan:
        """Return the plan of ``--quick``: one round of short windows."""
        return cls(
            window=1.0,
            warm_up=0.5,
            rounds=1,
            rounds_busy=1,
            starts=3,
            events=1 << 18,
            page_cache=1 << 29,
        )


@dataclass
class Result:
    """What a bench returns.

    Parameters
    ----------
    name, title : str
    columns : dict of str to str
        Keys of the rows that the table shows, and their headings. Further keys are in the JSON.
    rows : list of dict
        One per measured thing, each with a ``name``.
    notes : list of str
    """

    name: str
    title: str
    columns: dict[str, str]
    rows: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Snapshot:
    """Counters at one moment; all only grow.

    Parameters
    ----------
    time, cpu : int
        Monotonic clock and the consumer's CPU time (with its helpers), ns.
    calls, workload_cpu : int
        System calls that the workload has made, and its CPU time in ns.
    delivered, dropped : int
        Events in the consumer's hands, and lost before them. ``dropped`` is None where the
        kernel side keeps no count.
    """

    time: int
    cpu: int
    calls: int
    workload_cpu: int
    delivered: int | None = None
    dropped: int | None = None


def cpu_ns(pid: int) -> int:
    """CPU time of a process and its threads in ns, from its CPU clock.

    The clock's number is ``(~pid << 3) | CPUCLOCK_SCHED`` (include/linux/posix-timers.h), what
    clock_getcpuclockid(3) returns.
    """
    return time.clock_gettime_ns((~pid << 3) | 2)


def system_calls(pid: int) -> int:
    """Reads and writes that a process has made, from the kernel's own accounting (proc(5))."""
    words = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return int(words["syscr"]) + int(words["syscw"])


def snapshot(load: Load, consumers: Iterable[int] = (), **counts: int | None) -> Snapshot:
    """Take a snapshot of a workload and its consumers, given by their process ids."""
    cpu = sum(cpu_ns(pid) for pid in consumers)
    now = time.monotonic_ns()
    calls = sum(system_calls(pid) for pid in load.pids)
    return Snapshot(now, cpu, calls, sum(cpu_ns(pid) for pid in load.pids), **counts)


def rates(a: Snapshot, b: Snapshot) -> dict[str, float | None]:
    """What happened between two snapshots, per second of wall time.

    Returns
    -------
    dict
        ``calls_per_s``, ``ns_per_call`` (the workload's CPU time for a call: it tells the cost
        of tracing even where others use the machine), ``delivered_per_s``,
        ``delivered_per_cpu_s`` (for each second of the consumer's CPU time), ``dropped``,
        ``dropped_share`` (of the calls), ``consumer_cpu`` (1.0 is one core).
    """
    elapsed = b.time - a.time
    calls = b.calls - a.calls
    found: dict[str, float | None] = {
        "calls_per_s": calls * 1e9 / elapsed,
        "ns_per_call": (b.workload_cpu - a.workload_cpu) / calls if calls else None,
        "consumer_cpu": (b.cpu - a.cpu) / elapsed,
        "delivered_per_s": None,
        "delivered_per_cpu_s": None,
        "dropped": None,
        "dropped_share": None,
    }
    if a.delivered is not None and b.delivered is not None:
        found["delivered_per_s"] = (b.delivered - a.delivered) * 1e9 / elapsed
        if b.cpu > a.cpu:
            found["delivered_per_cpu_s"] = (b.delivered - a.delivered) * 1e9 / (b.cpu - a.cpu)
    if a.dropped is not None and b.dropped is not None:
        found["dropped"] = b.dropped - a.dropped
        found["dropped_share"] = (b.dropped - a.dropped) / calls if calls else None
    return found


def middle(rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the median of each number over several rounds of one row.

    Other values are those of the last round; a number that a round lacks is left out there.
    """
    merged = dict(rounds[-1])
    for key, last in rounds[-1].items():
        if isinstance(last, int | float) and not isinstance(last, bool):
            merged[key] = median(r[key] for r in rounds if isinstance(r.get(key), int | float))
    return merged


@dataclass(frozen=True)
class Load:
    """A running workload: its processes, and the one whose descendants they are."""

    root: int
    pids: tuple[int, ...]

    def __str__(self) -> str:
        return ",".join(map(str, (self.root, *self.pids)))

    @classmethod
    def parse(cls, text: str) -> Load:
        """Read what ``str()`` made."""
        root, *pids = map(int, text.split(","))
        return cls(root, tuple(pids))


DD = "dd if=/dev/zero of=/dev/null bs=1"


@contextmanager
def workload(count: int = 1) -> Iterator[Load]:
    """Run ``count`` times dd with 1-byte reads and writes, which does nothing but system calls."""
    script = f"exec {DD}" if count == 1 else f"{DD} & " * count + "wait"
    shell = subprocess.Popen(
        ["sh", "-c", script], stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        load = Load(shell.pid, _running(shell.pid, count))
        try:
            yield load
        finally:
            for pid in load.pids:
                os.kill(pid, signal.SIGKILL)
            shell.wait(DEADLINE_S)  # it reaps them
    finally:
        if shell.poll() is None:
            os.killpg(shell.pid, signal.SIGKILL)
            shell.wait()


def _running(root: int, count: int) -> tuple[int, ...]:
    until = time.monotonic() + DEADLINE_S
    while time.monotonic() < until:
        text = Path(f"/proc/{root}/task/{root}/children").read_text()
        pids = [int(pid) for pid in text.split()] if count > 1 else [root]
        names = [Path(f"/proc/{pid}/comm").read_text().strip() for pid in pids]
        if names == ["dd"] * count:
            return tuple(pids)
        time.sleep(0.005)
    raise BenchError("dd does not start")


def plain(result: Result) -> dict[str, Any]:
    """Return a result as it goes into the JSON."""
    return asdict(result)
