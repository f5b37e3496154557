"""Frames of a kind as plain tables: what the report shows of kinds without a view of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from workbench.frames import exec as processes
from workbench.frames import irq, locks, sched, signals
from workbench.frames.losses import lossy
from workbench.frames.needs import has
from workbench.views import units
from workbench.views.tables import banner, table

if TYPE_CHECKING:
    import polars as pl

    from workbench.recording import Recording

ROWS = 15
TREE_ROWS = 500
"""Rows of a table at most; the frames hold all."""

_EITHER = {sched.by_thread, irq.by_irq, irq.by_cpu, locks.by_lock}
"""Frames that counts made in the kernel are enough for."""
SUMMARIES: dict[str, tuple[str, tuple[tuple[str, Callable[[Recording], pl.DataFrame]], ...]]] = {
    "exec": (
        "Process tree",
        (("Processes", processes.tree), ("Programs that did not start", processes.failures)),
    ),
    "sched": (
        "Scheduling",
        (
            ("Threads, most waiting for a CPU first", sched.by_thread),
            ("Who woke whom", sched.wakers),
            ("Chains of wake-ups", sched.chains),
            ("Longest waits for a CPU", sched.longest),
        ),
    ),
    "locks": (
        "Locks",
        (
            ("Waiting still at the end", locks.stuck),
            ("Locks, most time waited first", locks.by_lock),
            ("Who was waited for", locks.blockers),
            ("Threads", locks.by_thread),
        ),
    ),
    "irq": (
        "Interrupts",
        (("Interrupts and softirqs", irq.by_irq), ("By CPU", irq.by_cpu)),
    ),
    "signals": (
        "Signals",
        (("From whom to whom", signals.by_pair), ("Slowest deliveries", signals.slowest)),
    ),
}
"""Title of each kind's section, and its tables: caption and frame."""


def sections(rec: Recording) -> list[tuple[str, str]]:
    """Return the sections of the kinds that the recording holds: title and HTML."""
    found = []
    for kind, (title, frames) in SUMMARIES.items():
        events = has(rec, kind)
        if not events and not has(rec, f"{kind}_agg"):
            continue
        chosen = [(caption, frame) for caption, frame in frames if events or frame in _EITHER]
        parts = (_part(caption, frame(rec)) for caption, frame in chosen)
        body = "".join(f'<div class="wb-part">{part}</div>' for part in parts if part)
        content = body or '<p class="wb-muted">None in what was selected.</p>'
        found.append((title, f'<div class="wb">{banner(lossy(rec, kind))}{content}</div>'))
    return found


def _part(caption: str, frame: pl.DataFrame) -> str:
    """Return a frame as a table, "" for an empty one."""
    if frame.is_empty():
        return ""
    limit = TREE_ROWS if "depth" in frame.columns else ROWS
    shown = frame.head(limit)
    if len(frame) > limit:
        caption += f" (first {limit} of {len(frame):,})"
    columns = [cells(shown[name]) for name in shown.columns]
    types = shown.dtypes
    numeric = [at for at, kind in enumerate(types) if kind.is_numeric() or kind.is_temporal()]
    wide = [at for at, name in enumerate(shown.columns) if name in ("cmdline", "chain")]
    head = [name.replace("_", " ") for name in shown.columns]
    return table(head, zip(*columns, strict=True), numeric=numeric, wide=wide, caption=caption)


def cells(column: pl.Series) -> list[str]:
    """Return the values of a column for people: numbers of things grouped, ids as they are."""
    show = _shown(column)
    return ["–" if value is None else show(value) for value in _plain(column).to_list()]


def _plain(column: pl.Series) -> pl.Series:
    import polars as pl

    return column.cast(pl.Int64) if isinstance(column.dtype, pl.Duration) else column


def _shown(column: pl.Series) -> Callable[[Any], str]:
    import polars as pl

    if isinstance(column.dtype, pl.Duration):
        return units.duration
    if isinstance(column.dtype, pl.Datetime):
        return lambda time: f"{time:%H:%M:%S.%f}"
    if column.name == "lock":
        return lambda address: f"{address:#x}"
    if column.name == "name":  # indentation of a tree
        return lambda name: str(name).replace("  ", "\u2003")
    ids = ("pid", "tid", "cpu", "irq", "depth", "status", "signal")
    if column.dtype.is_integer() and not column.name.endswith(ids):
        return units.count
    return str
