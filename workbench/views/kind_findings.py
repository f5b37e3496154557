"""The first lines of a report about kinds that are shown as tables: one sentence for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from workbench.frames import block, dns, files, flows, heap, http, locks, sched
from workbench.frames.needs import has
from workbench.views import units
from workbench.views.kind_tables import with_places

if TYPE_CHECKING:
    import polars as pl

    from workbench.recording import Recording

Finding = tuple[str, str]
"""Question and answer."""


def of_kinds(rec: Recording) -> list[Finding]:
    """Return what stands out, by kind; nothing of kinds that saw nothing."""
    found = []
    for kind, (title, tell) in _SENTENCES.items():
        if has(rec, kind) or has(rec, f"{kind}_agg"):
            text = tell(rec)
            found += [(title, text)] if text else []
    return found


def _first(frame: pl.DataFrame) -> dict[str, Any]:
    """Return the first row, {} if there is none."""
    return frame.row(0, named=True) if len(frame) else {}


def _ns(frame: pl.DataFrame, column: str) -> str:
    """Return a duration of the first row; Python's own has only microseconds."""
    import polars as pl

    return units.duration(frame[column].cast(pl.Int64)[0])


def _sum(frame: pl.DataFrame, column: str) -> int:
    return int(frame[column].sum())


def _sched(rec: Recording) -> str:
    found = sched.by_thread(rec)
    if not (row := _first(found)):
        return ""
    return (
        f"{row['comm']} (thread {row['tid']}) waited most in a run queue: {_ns(found, 'waited')} "
        f"in {row['runs']:,} runs, while it ran for {_ns(found, 'ran')}."
    )


def _locks(rec: Recording) -> str:
    found = locks.by_lock(rec)
    if not (row := _first(found)):
        return ""
    threads = f" by {row['threads']:,} threads" if row["threads"] else ""
    return (
        f"{row['type']} {row['lock']:#x} of process {row['pid']} was waited for most: "
        f"{_ns(found, 'waited')} in {row['waits']:,} waits{threads}."
    )


def _files(rec: Recording) -> str:
    found = files.by_file(rec)
    if not (row := _first(found)):
        return ""
    return (
        f"Most bytes: {row['path'] or '?'}, {units.size(row['read_bytes'])} read and "
        f"{units.size(row['written_bytes'])} written. Of {_sum(found, 'operations'):,} calls "
        f"{_sum(found, 'errors'):,} failed."
    )


def _block(rec: Recording) -> str:
    found = block.by_device(rec)
    if not (row := _first(found)):
        return ""
    return (
        f"{_sum(found, 'requests'):,} requests, {units.size(_sum(found, 'bytes'))}; most bytes: "
        f"{row['op']} on {row['device']}, 99 % served within {_ns(found, 'service_p99')}."
    )


def _tcp(rec: Recording) -> str:
    found = flows.edges(rec)
    if found.is_empty():
        return ""
    return (
        f"{_sum(found, 'connections'):,} connections as their ends see them, "
        f"{_sum(found, 'failed'):,} failed; {_sum(found, 'retransmits'):,} retransmits."
    )


def _dns(rec: Recording) -> str:
    found = _clients(dns.by_name(rec))
    if found.is_empty():
        return ""
    return (
        f"{_sum(found, 'queries'):,} queries for {len(found):,} names and types; for "
        f"{_sum(found, 'nxdomain'):,} there was no such name, {_sum(found, 'failed'):,} failed."
    )


def _http(rec: Recording) -> str:
    found = _clients(http.by_path(rec))
    if found.is_empty():
        return ""
    return (
        f"{_sum(found, 'requests'):,} requests for {len(found):,} methods and paths; answers with "
        f"400 to 499: {_sum(found, 'client_errors'):,}, from 500 on: "
        f"{_sum(found, 'server_errors'):,}."
    )


def _clients(found: pl.DataFrame) -> pl.DataFrame:
    """Return what clients saw or, if only servers were recorded, those."""
    import polars as pl

    mine = found.filter(pl.col("role") == "client")
    return mine if len(mine) else found


def _memory(rec: Recording) -> str:
    if heap.by_process(rec).is_empty():  # also where other parts than the heap were captured
        return ""
    found = with_places(heap.leaks)(rec)
    if not (row := _first(found)):
        return "No candidate for a leak."
    where = f" by {row['where']}" if row["where"] else ""
    return (
        f"Candidates for leaks: {len(found):,}; the largest, {units.size(row['live_bytes'])} "
        f"in {row['live']:,} allocations{where}."
    )


_SENTENCES: dict[str, tuple[str, Callable[[Recording], str]]] = {
    "sched": ("Waiting for a CPU", _sched),
    "locks": ("Locks", _locks),
    "files": ("Files", _files),
    "block": ("Disk", _block),
    "tcp": ("TCP", _tcp),
    "dns": ("Names", _dns),
    "http": ("HTTP", _http),
    "memory": ("Memory", _memory),
}
