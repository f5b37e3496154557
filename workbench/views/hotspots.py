"""Tables of the functions and lines in which the time is spent."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from workbench.frames.hotspots import hotspots_of
from workbench.frames.losses import shortcomings
from workbench.frames.stacks import BYTES, TIME, default_weight, stack_sums, unit_of
from workbench.views import html, units
from workbench.views.tables import banner, table
from workbench.views.view import PlainView

if TYPE_CHECKING:
    import polars as pl

    from workbench.recording import Recording

ROWS = 15
"""Rows of a table at most; the attributes of :class:`Hotspots` hold all."""


class Hotspots(PlainView):
    """Where the time goes, by function and by source line; of Python programs by its lines first.

    Parameters
    ----------
    rec : Recording
        Its selection is honoured.
    kind, weight : str
        See :func:`workbench.frames.hotspots.hotspots`.
    title : str
        Shown above.

    Attributes
    ----------
    functions, lines : polars.DataFrame
        See :func:`workbench.frames.hotspots.hotspots`; ``lines`` only has those with a source.
    python : polars.DataFrame
        Lines of Python alone, with the time of the interpreter and of C code that they call.

    Raises
    ------
    MissingTableError
        The recording has no such stacks.
    """

    def __init__(
        self, rec: Recording, kind: str = "cpu", *, weight: str = "", title: str = "Hot spots"
    ) -> None:
        import polars as pl

        self.title = title
        self.notice = shortcomings(rec, kind)
        weight = weight or default_weight(rec, kind)
        self._unit = unit_of(rec, kind, weight)
        _, sums = stack_sums(rec, kind, (), weight)
        self.functions = hotspots_of(sums)
        known = (pl.col("file") != "") & pl.col("line").is_not_null()
        self.lines = hotspots_of(sums, "line").filter(known)
        self.python = hotspots_of(sums, "line", ["python"])

    def fragment(self) -> str:
        """Return the view as a piece of HTML that needs nothing else."""
        heading = f'<div class="wb-flame-title">{html.escape(self.title)}</div>'
        parts = []
        if len(self.python):
            caption = "Lines of Python, with what they call in C"
            parts.append(self._table(caption, "line", self.python, _line))
        parts.append(self._table("Functions", "module", self.functions, _module))
        if len(self.lines):
            parts.append(self._table("Source lines", "line", self.lines, _line))
        body = "".join(f'<div class="wb-part">{part}</div>' for part in parts)
        return (
            f'<section class="wb wb-hotspots">{banner(self.notice)}'
            f"{heading if self.title else ''}{body}</section>"
        )

    def _table(self, caption: str, place: str, found: pl.DataFrame, tell: Any) -> str:
        amount = {TIME: units.duration, BYTES: units.size}.get(self._unit, units.count)
        rows = [
            (
                amount(row["self"]),
                units.share(row["self_share"]),
                amount(row["total"]),
                units.share(row["total_share"]),
                row["kind"],
                row["name"],
                tell(row),
            )
            for row in found.head(ROWS).iter_rows(named=True)
        ]
        head = ("self", "", "total", "", "kind", "function", place)
        rest = f" (first {len(rows)} of {len(found):,})" if len(found) > len(rows) else ""
        return table(
            head,
            rows,
            numeric=range(4),
            wide=(5, 6),
            caption=f"{caption}, most self time first{rest}",
        )

    def __repr__(self) -> str:
        first = self.functions.head(1)
        hottest = first["name"][0] if len(first) else "nothing"
        return f"<Hotspots: {len(self.functions):,} functions, most self time in {hottest}>"


def _module(row: dict[str, Any]) -> str:
    return PurePath(row["module"]).name or "–"


def _line(row: dict[str, Any]) -> str:
    return f"{row['file'] or '?'}:{row['line']}"
