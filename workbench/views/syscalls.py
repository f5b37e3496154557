"""Overview of system calls: figures, a table to sort and filter, latencies, errors."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from workbench.frames import syscalls as frames
from workbench.frames.losses import lossy
from workbench.views import html, units
from workbench.views.histogram import bokeh_js, bokeh_version, histogram_item
from workbench.views.tables import banner, table
from workbench.views.view import View

if TYPE_CHECKING:
    import polars as pl

    from workbench.recording import Recording

MODULE = "syscalls.js"
DURATIONS = ("total", "mean", "p50", "p99", "max")
FALLBACK_ROWS = 15
COUNTED = (
    "Counted in the kernel: p50 and p99 are estimates within a power of two, errors are not told "
    "apart."
)


class SyscallOverview(View):
    """System calls of a recording for notebooks and for files.

    Figures on top; a table that can be sorted and filtered; the latency histogram of the chosen
    system call; the errors. Works from single calls and from counts made in the kernel.

    Parameters
    ----------
    rec : Recording
        Needs the table ``syscalls`` or ``syscalls_agg``; its selection is honoured.
    title : str
        Shown above.

    Raises
    ------
    MissingTableError
        The recording holds no system calls.
    """

    def __init__(self, rec: Recording, *, title: str = "System calls") -> None:
        self.title = title
        self.notice = lossy(rec, frames.EVENTS, frames.AGGREGATED)
        self.summary = frames.summary(rec)
        self.errors = frames.errors(rec)
        self.histograms = frames.latency_histograms(rec)
        self.aggregated = frames.aggregated(rec)
        self.seconds = rec.seconds

    @cached_property
    def figures(self) -> list[tuple[str, str, str]]:
        """The figures on top: value, label, detail."""
        calls, errors, total = (
            int(self.summary[column].cast(_int64()).sum())
            for column in ("calls", "errors", "total")
        )
        rate = calls / self.seconds if self.seconds > 0 else 0.0
        figures = [
            (units.count(calls), "calls", f"{units.short_count(rate)} a second"),
            (
                units.count(errors),
                "errors",
                f"{units.share(errors / calls if calls else 0)} of calls",
            ),
            (units.count(len(self.summary)), "distinct calls", self._busiest()),
            (units.duration(total), "time in system calls", "over all threads, waiting included"),
        ]
        if not self.aggregated and calls:
            longest = self.summary.row(int(self.summary["max"].arg_max() or 0), named=True)
            slowest = self.summary["max"].cast(_int64()).max()
            figures.append((units.duration(_number(slowest)), "slowest call", longest["name"]))
        return figures

    def _busiest(self) -> str:
        if self.summary.is_empty():
            return ""
        name = self.summary.sort("calls", descending=True)["name"][0]
        return f"most often {name}"

    def _rows(self) -> list[dict[str, Any]]:
        import polars as pl

        numbers = self.summary.with_columns(pl.col(*DURATIONS).cast(pl.Int64))
        return numbers.drop("error_rate").to_dicts()

    def _buckets(self) -> Mapping[str, list[list[int]]]:
        """Return [bucket, calls] of every system call."""
        found: dict[str, list[list[int]]] = {}
        for name, bucket, calls in self.histograms.iter_rows():
            found.setdefault(name, []).append([bucket, calls])
        return found

    def fragment(self, *, with_bokeh: bool = True) -> str:
        """Return the view as a piece of HTML that needs nothing else.

        Parameters
        ----------
        with_bokeh : bool
            Whether BokehJS is inside. A page needs it once.
        """
        state = {
            "title": self.title,
            "notice": self.notice,
            "note": COUNTED if self.aggregated else "",
            "figures": self.figures,
            "rows": self._rows(),
            "errors": self.errors.to_dicts(),
            "buckets": self._buckets(),
            "plot": histogram_item(),
            "bokeh_version": bokeh_version(),
        }
        data = {"bokeh": bokeh_js()} if with_bokeh else {}
        return html.fragment(MODULE, state, data, self._fallback())

    def __repr__(self) -> str:
        figures = ", ".join(f"{value} {label}" for value, label, _ in self.figures)
        return f"<SyscallOverview: {figures}>"

    def _fallback(self) -> str:
        """Return the system calls with the most time, for pages that run no scripts."""
        rows = (
            (
                row["name"],
                units.count(row["calls"]),
                units.count(row["errors"]),
                *(units.duration(_number(row[column])) for column in DURATIONS),
            )
            for row in self._rows()[:FALLBACK_ROWS]
        )
        head = ("system call", "calls", "errors", *DURATIONS)
        return banner(self.notice) + table(
            head,
            rows,
            numeric=range(1, len(head)),
            caption=f"{self.title or 'System calls'}: most time first",
        )


def _int64() -> type[pl.Int64]:
    import polars as pl

    return pl.Int64


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
