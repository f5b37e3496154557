"""Histograms of powers of two, as the kernel makes them: a bar for each bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.errors import ParameterError
from workbench.views import units
from workbench.views.tables import banner, table
from workbench.views.view import PlainView

if TYPE_CHECKING:
    import polars as pl


class Log2Histogram(PlainView):
    """A histogram whose buckets double.

    Parameters
    ----------
    frame : polars.DataFrame
        Lower and upper bound and count of each bucket, in this order, as
        :func:`workbench.frames.sched.latency_histogram` returns. Bounds whose column ends in
        ``_ns`` are shown as times.
    title : str
        Shown above.
    notice : str
        A sentence shown prominently, such as what was lost.

    Raises
    ------
    ParameterError
        The frame has other than three columns.
    """

    def __init__(self, frame: pl.DataFrame, *, title: str = "", notice: str = "") -> None:
        if frame.width != len(("low", "high", "count")):
            raise ParameterError(
                f"A histogram has three columns, not {frame.width}.",
                advice="Select lower bound, upper bound and count.",
            )
        self.frame, self.title, self.notice = frame, title, notice

    def fragment(self) -> str:
        """Return the view as a piece of HTML that needs nothing else."""
        low, _, count = self.frame.columns
        show = units.duration if low.endswith("_ns") else units.count
        rows = self.frame.rows()
        total = sum(row[2] for row in rows) or 1
        most = max((row[2] for row in rows), default=0) or 1
        body = table(
            ("from", "to", "", count.replace("_", " "), "share"),
            [(show(a), show(b), "", units.count(n), units.share(n / total)) for a, b, n in rows],
            numeric=(0, 1, 3, 4),
            bars={2: [row[2] / most for row in rows]},
            caption=self.title,
        )
        return f'<section class="wb wb-log2">{banner(self.notice)}{body}</section>'

    def __repr__(self) -> str:
        return f"<Log2Histogram: {self.title or 'untitled'}, {len(self.frame)} buckets>"
