"""A dataframe as a table for people: times, sizes and shares with units, bars for what counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.errors import ParameterError
from workbench.views.cells import cells, is_right
from workbench.views.tables import banner, table
from workbench.views.view import PlainView

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

ROWS = 15
TREE_ROWS = 500
"""Rows of a table at most; the frames hold all."""
WIDE = ("cmdline", "chain", "where", "path", "file", "filename")
"""Columns whose texts may wrap."""


class FrameTable(PlainView):
    """A dataframe, shown.

    Parameters
    ----------
    frame : polars.DataFrame
        Such as the functions of :mod:`workbench.frames` return; names and types of its columns
        tell their units.
    *columns : str
        Those that are shown; all if none is named.
    bar : str
        Column whose values are drawn as bars, too.
    title : str
        Shown above.
    rows : int, optional
        Rows that are shown at most, the first ones; the title says how many there are.
    notice : str
        A sentence shown prominently, such as what was lost.

    Raises
    ------
    ParameterError
        The frame has no such column.
    """

    def __init__(
        self,
        frame: pl.DataFrame,
        *columns: str,
        bar: str = "",
        title: str = "",
        rows: int | None = None,
        notice: str = "",
    ) -> None:
        shown = columns or tuple(frame.columns)
        missing = [c for c in (*columns, *filter(None, (bar,))) if c not in frame.columns]
        if missing or (bar and bar not in shown):
            raise ParameterError(
                f"There is no column {', '.join(missing) or bar} to be shown.",
                why=f"There are {', '.join(frame.columns)}.",
            )
        limit = rows if rows is not None else TREE_ROWS if "depth" in frame.columns else ROWS
        self.frame = frame.select(shown).head(limit)
        self.title, self.bar, self.notice = title, bar, notice
        self.of = len(frame)

    def fragment(self) -> str:
        """Return the view as a piece of HTML that needs nothing else."""
        return f'<section class="wb wb-frame">{banner(self.notice)}{self.table()}</section>'

    def table(self) -> str:
        """Return the table alone, as HTML."""
        frame = self.frame
        more = f"(first {len(frame)} of {self.of:,})" if len(frame) < self.of else ""
        columns = [cells(frame[name]) for name in frame.columns]
        numeric = [at for at, name in enumerate(frame.columns) if is_right(frame[name])]
        wide = [at for at, name in enumerate(frame.columns) if name in WIDE]
        bars = {frame.columns.index(self.bar): _shares(frame[self.bar])} if self.bar else {}
        head = [name.replace("_", " ") for name in frame.columns]
        caption = f"{self.title} {more}".strip()
        rows = zip(*columns, strict=True)
        return table(head, rows, numeric=numeric, wide=wide, bars=bars, caption=caption)

    def __repr__(self) -> str:
        return f"<FrameTable: {self.title or 'untitled'}, {len(self.frame)} of {self.of:,} rows>"


def _shares(column: pl.Series) -> Sequence[float]:
    """Return the values as shares of the largest one."""
    import polars as pl

    plain = column if column.dtype.is_numeric() else column.cast(pl.Int64)
    values = [float(value or 0) for value in plain.to_list()]
    most = max(values, default=0.0)
    return [value / most if most > 0 else 0.0 for value in values]
