"""What the report shows of kinds without a view of their own: frames, as tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.frames import (
    allocations,
    block,
    dns,
    files,
    flows,
    heap,
    http,
    irq,
    locks,
    pagecache,
    sched,
    signals,
    sockets,
)
from workbench.frames import exec as processes
from workbench.frames.needs import has
from workbench.frames.offcpu import places

if TYPE_CHECKING:
    import polars as pl

    from workbench.recording import Recording

Frame = Callable[["Recording"], "pl.DataFrame"]


@dataclass(frozen=True)
class Part:
    """A table of a section.

    Parameters
    ----------
    caption : str
    frame : callable
        From a recording to a dataframe; an empty one is not shown.
    columns : tuple of str
        Those that are shown; all if none is named.
    bar : str
        Column whose values are drawn as bars as well: the one by which the table is sorted.
    counted : bool
        Counts made in the kernel are enough.
    """

    caption: str
    frame: Frame
    columns: tuple[str, ...] = ()
    bar: str = ""
    counted: bool = False


def with_places(frame: Frame) -> Frame:
    """Return a frame whose stacks are told by their innermost functions, in ``where``."""

    def told(rec: Recording) -> pl.DataFrame:
        import polars as pl

        found = frame(rec).head(100)
        known = has(rec, "stacks") and has(rec, "frames")
        names = places(rec, found["stack_id"], python=True) if known else {}
        where = pl.Series("where", [names.get(n) for n in found["stack_id"]], pl.String)
        return found.with_columns(where).drop("stack_id")

    return told


def _oom_kills(rec: Recording) -> pl.DataFrame:
    return allocations.events(rec, "oom", "ts", "pid", "comm").drop("op").collect()


_TREE = ("name", "pid", "ppid", "cmdline", "started", "duration", "programs", "failed")
_FILES = ("errors", "opens", "reads", "writes", "syncs", "read_bytes", "written_bytes")
_FILE_TIMES = ("read_time", "write_time", "sync_time")
_PATHS = (
    *("role", "method", "path", "requests", "answers", "unanswered"),
    *("client_errors", "server_errors", "p50", "p99", "max"),
)
_PAGES = ("looked_up", "hit_ratio", "misses", "faulted", "mapped", "added", "removed", "dirtied")
_FLOW = ("start", "duration", "comm", "role", "remote_address", "remote_port", "connect", "accept")
_FLOW_BYTES = ("bytes_sent", "bytes_received", "retransmits", "rtt_p50", "end", "errno")


def _longest_connections(rec: Recording) -> pl.DataFrame:
    return flows.connections(rec).sort("duration", "start", descending=[True, False])


SUMMARIES: dict[str, tuple[str, tuple[Part, ...]]] = {
    "exec": (
        "Process tree",
        (
            Part("Processes", processes.tree, (*_TREE, "exit_status", "exit_signal")),
            Part("Programs that did not start", processes.failures),
        ),
    ),
    "sched": (
        "Scheduling",
        (
            Part(
                "Threads, most waiting for a CPU first",
                sched.by_thread,
                bar="waited",
                counted=True,
            ),
            Part("Who woke whom", sched.wakers, bar="wakeups"),
            Part("Chains of wake-ups", sched.chains, bar="wakeups"),
            Part("Longest waits for a CPU", sched.longest, bar="latency"),
        ),
    ),
    "locks": (
        "Locks",
        (
            Part("Waiting still at the end", locks.stuck),
            Part("Locks, most time waited first", locks.by_lock, bar="waited", counted=True),
            Part("Who was waited for", locks.blockers, bar="waited"),
            Part("Threads", locks.by_thread, bar="waited"),
        ),
    ),
    "irq": (
        "Interrupts",
        (
            Part("Interrupts and softirqs", irq.by_irq, counted=True),
            Part("By CPU", irq.by_cpu, counted=True),
        ),
    ),
    "signals": (
        "Signals",
        (
            Part("From whom to whom", signals.by_pair),
            Part("Slowest deliveries", signals.slowest, bar="latency"),
        ),
    ),
    "block": (
        "Disk requests",
        (
            Part("Devices, most bytes first", block.by_device, bar="bytes", counted=True),
            Part("Processes that caused them", block.by_process, bar="bytes", counted=True),
        ),
    ),
    "files": (
        "Files",
        (
            Part(
                "Files, most bytes first",
                files.by_file,
                ("path", *_FILES, *_FILE_TIMES),
                counted=True,
            ),
            Part("What failed", files.failures, bar="calls"),
            Part(
                "Processes, most bytes first",
                files.by_process,
                ("pid", "comm", *_FILES, *_FILE_TIMES),
                counted=True,
            ),
        ),
    ),
    "pagecache": (
        "Page cache, in pages",
        (
            Part(
                "Files, most pages read or added first",
                pagecache.by_file,
                ("path", *_PAGES, "written"),
                counted=True,
            ),
            Part("Processes", pagecache.by_process, ("pid", "comm", *_PAGES), counted=True),
        ),
    ),
    "tcp": (
        "TCP connections",
        (
            Part("Who talks with whom, most bytes first", flows.edges, counted=True),
            Part("Retransmits, resets and drops", flows.troubles, bar="count"),
            Part("Longest connections", _longest_connections, (*_FLOW, *_FLOW_BYTES)),
        ),
    ),
    "sockets": (
        "Sockets",
        (
            Part("Other sides, most bytes first", sockets.by_peer, bar="bytes"),
            Part("System calls", sockets.by_call, bar="bytes"),
            Part(
                "Sockets, most bytes first",
                sockets.by_socket,
                (
                    *("inode", "comm", "direction", "protocol", "local_address", "local_port"),
                    *("remote_address", "remote_port", "calls", "errors", "bytes", "total", "p99"),
                ),
                counted=True,
            ),
        ),
    ),
    "dns": (
        "Names looked up",
        (
            Part("Names, most queries first", dns.by_name, bar="queries"),
            Part("Servers", dns.by_server, bar="queries"),
        ),
    ),
    "http": (
        "HTTP requests",
        (
            Part("Paths, most requests first", http.by_path, _PATHS, bar="requests"),
            Part("Answers by status", http.by_status, bar="answers"),
        ),
    ),
    "memory": (
        "Memory",
        (
            Part("Killed for want of memory", _oom_kills),
            Part(
                "Candidates for leaks: allocated again and again, hardly ever freed",
                with_places(heap.leaks),
                bar="live_bytes",
            ),
            Part(
                "Who allocates, most bytes that were not freed first",
                with_places(heap.by_stack),
                bar="live_bytes",
            ),
            Part("Memory mapped and touched", with_places(heap.growth), bar="mapped"),
        ),
    ),
}
"""Title of each kind's section, and its tables."""

OWN_VIEWS = ("cpu", "offcpu", "syscalls")
"""Kinds that have views of their own."""
