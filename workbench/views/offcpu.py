"""Overview of off-CPU time: figures, why threads waited, which ones, who woke them, the longest."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from workbench.frames import offcpu as frames
from workbench.frames.losses import lossy
from workbench.frames.needs import has
from workbench.views import html, units
from workbench.views.tables import banner, cards, table
from workbench.views.view import PlainView

if TYPE_CHECKING:
    import polars as pl

    from workbench.recording import Recording

ROWS = 15
"""Rows of a table at most; the frames of :mod:`workbench.frames.offcpu` hold all."""

STATES = {
    "preempted": "preempted (waited for a CPU only)",
    "uninterruptible": "uninterruptible",
    "io_wait": "I/O of a block device",
    "new": "new thread, not run yet",
}
"""How states are shown, where their own name does not say it."""

_SUMS = ("off", "blocked", "runnable")
_SUM_HEAD = ("off CPU", "blocked", "waited for CPU")


class OffcpuOverview(PlainView):
    """Off-CPU time of a recording for notebooks and for files.

    Figures on top; time by reason, by thread and by waker; the longest periods.

    Parameters
    ----------
    rec : Recording
        Needs the table ``offcpu``; its selection is honoured.
    title : str
        Shown above.

    Raises
    ------
    MissingTableError
        The recording holds no off-CPU time.
    """

    def __init__(self, rec: Recording, *, title: str = "Off-CPU time") -> None:
        self.title = title
        self.notice = lossy(rec, frames.EVENTS)
        self.states = frames.by_state(rec)
        self.threads = frames.by_thread(rec)
        self.wakers = frames.wakers(rec)
        self.longest = frames.longest(rec, ROWS)
        self.start = rec.start
        known = has(rec, "stacks") and has(rec, "frames")
        self._places = frames.places(rec, self.longest["stack_id"]) if known else {}

    @cached_property
    def totals(self) -> dict[str, int]:
        """Sums of off, blocked and runnable in ns, and the number of periods."""
        found = {name: int(_ns(self.states[name]).sum()) for name in _SUMS}
        return found | {"periods": int(self.states["periods"].sum())}

    @cached_property
    def figures(self) -> list[tuple[str, str, str]]:
        """The figures on top: value, label, detail."""
        total = self.totals
        off = total["off"] or 1
        figures = [
            (
                units.duration(total["off"]),
                "off the CPU",
                f"{self.threads['tid'].n_unique():,} threads together",
            ),
            (
                units.duration(total["blocked"]),
                "blocked",
                f"{units.share(total['blocked'] / off)}, until woken",
            ),
            (
                units.duration(total["runnable"]),
                "waited for a CPU",
                f"{units.share(total['runnable'] / off)}, ready to run",
            ),
            (units.count(total["periods"]), "periods", "times that a thread left the CPU"),
        ]
        if len(self.longest):
            first = self.longest.row(0, named=True)
            longest = units.duration(float(_ns(self.longest["off"])[0]))
            figures.append((longest, "longest period", f"{first['comm']}, {first['state']}"))
        return figures

    def fragment(self) -> str:
        """Return the view as a piece of HTML that needs nothing else."""
        heading = f'<div class="wb-flame-title">{html.escape(self.title)}</div>'
        parts = (self._state_table(), self._thread_table(), self._waker_table(), self._longest())
        body = "".join(f'<div class="wb-part">{part}</div>' for part in parts if part)
        return (
            f'<section class="wb wb-offcpu">{banner(self.notice)}{heading if self.title else ""}'
            f"{cards(self.figures)}{body}</section>"
        )

    def _state_table(self) -> str:
        return self._table(
            "Why threads left the CPU",
            ("reason",),
            self.states,
            lambda row: (STATES.get(row["state"], row["state"]),),
        )

    def _thread_table(self) -> str:
        return self._table(
            "Threads",
            ("thread", "pid", "tid"),
            self.threads,
            lambda row: (row["comm"] or "–", row["pid"], row["tid"]),
        )

    def _waker_table(self) -> str:
        return self._table(
            "Who woke them",
            ("waker", "pid", "tid"),
            self.wakers,
            lambda row: (_waker(row), row["waker_pid"] or "–", row["waker_tid"] or "–"),
            count="wake-ups",
        )

    def _table(
        self, caption: str, head: tuple[str, ...], found: pl.DataFrame, name: Any, count: str = ""
    ) -> str:
        if found.is_empty():
            return ""
        off = self.totals["off"] or 1
        numbers = found.head(ROWS).with_columns(_ns_columns(*_SUMS, "p50", "p99", "max"))
        rows = [
            (
                *name(row),
                units.count(row["periods"]),
                *(_time(row[time]) for time in _SUMS),
                units.share(row["off"] / off),
                *(units.duration(row[time]) for time in ("p50", "p99", "max")),
            )
            for row in numbers.iter_rows(named=True)
        ]
        more = len(found) - len(rows)
        titles = (*head, count or "periods", *_SUM_HEAD, "share", "p50", "p99", "max")
        rest = f" (first {len(rows)} of {len(found):,})" if more else ""
        return table(
            titles, rows, numeric=range(1, len(titles)), caption=f"{caption}, most time first{rest}"
        )

    def _longest(self) -> str:
        if self.longest.is_empty():
            return ""
        names = dict(self.wakers.select("waker_tid", "waker_comm").iter_rows())
        rows = [
            (
                f"+{(row['ts'] - self.start).total_seconds():.6f} s",
                row["comm"] or "–",
                row["tid"],
                row["state"],
                *(_time(row[time]) for time in _SUMS),
                _waker(row | {"waker_comm": names.get(row["waker_tid"])}),
                self._places.get(row["stack_id"], "–"),
            )
            for row in self.longest.with_columns(_ns_columns(*_SUMS)).iter_rows(named=True)
        ]
        head = ("when", "thread", "tid", "reason", *_SUM_HEAD, "woken by", "where")
        return table(head, rows, numeric=(0, 2, 4, 5, 6), wide=(8,), caption="Longest periods")

    def __repr__(self) -> str:
        return f"<OffcpuOverview: {', '.join(f'{v} {label}' for v, label, _ in self.figures)}>"


def _waker(row: dict[str, Any]) -> str:
    """Return who woke, for people."""
    if row["waker"] == "none":
        return "–"
    if not row["waker_tid"]:
        return "timer or device"
    name = row["waker_comm"] or f"thread {row['waker_tid']}"
    return f"{name} (softirq)" if row["waker"] == "softirq" else name


def _time(ns: int) -> str:
    return units.duration(ns) if ns else "–"


def _ns(times: pl.Series) -> pl.Series:
    import polars as pl

    return times.cast(pl.Int64)


def _ns_columns(*names: str) -> pl.Expr:
    import polars as pl

    return pl.col(names).cast(pl.Int64)
