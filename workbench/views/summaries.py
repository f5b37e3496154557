"""Kinds without a view of their own, and the user's own probes, as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.errors import MissingTableError
from workbench.frames import probes
from workbench.frames.losses import lossy
from workbench.frames.needs import has
from workbench.kinds import all_kinds
from workbench.views import html
from workbench.views.frame_table import ROWS, FrameTable
from workbench.views.kind_tables import OWN_VIEWS, SUMMARIES, Part
from workbench.views.tables import banner
from workbench.views.view import PlainView

if TYPE_CHECKING:
    import polars as pl

    from workbench.recording import Recording

NONE = '<p class="wb-muted">None in what was selected.</p>'


class KindOverview(PlainView):
    """What a kind or one of the user's own probes saw, as tables.

    Parameters
    ----------
    rec : Recording
        Its selection is honoured.
    kind : str
        Name of the kind, or of the probe.
    title : str, optional
        Shown above; by default the kind's own.

    Raises
    ------
    MissingTableError
        The session holds nothing of that kind.
    """

    def __init__(self, rec: Recording, kind: str, *, title: str | None = None) -> None:
        if not (has(rec, kind) or has(rec, f"{kind}_agg")):
            raise MissingTableError(
                f"This session holds nothing of {kind!r}.",
                why=f"It holds: {', '.join(sorted(rec.tables)) or 'none'}.",
            )
        self.kind = kind
        self.notice = lossy(rec, kind, f"{kind}_agg")
        self.title = title_of(rec, kind) if title is None else title
        self.note, self.parts = _parts(rec, kind)

    def fragment(self) -> str:
        """Return the view as a piece of HTML that needs nothing else."""
        heading = f'<div class="wb-flame-title">{html.escape(self.title)}</div>'
        note = f'<p class="wb-muted">{html.escape(self.note)}</p>' if self.note else ""
        tables = (part_table(part, frame) for part, frame in self.parts if len(frame))
        body = "".join(f'<div class="wb-part">{each}</div>' for each in tables)
        return (
            f'<section class="wb wb-kind">{banner(self.notice)}{heading if self.title else ""}'
            f"{note}{body or NONE}</section>"
        )

    def __repr__(self) -> str:
        rows = ", ".join(f"{len(frame):,} in {part.caption!r}" for part, frame in self.parts)
        return f"<KindOverview of {self.kind}: {rows}>"


def title_of(rec: Recording, kind: str) -> str:
    """Return the title of a kind's section."""
    if kind in SUMMARIES:
        return SUMMARIES[kind][0]
    return f"Probe: {kind}" if kind in probes.names(rec) else f"Events: {kind}"


def sections(rec: Recording) -> list[tuple[str, str]]:
    """Return the sections of the kinds and probes that the recording holds: title and HTML."""
    own = probes.names(rec)
    known = [kind for kind in SUMMARIES if has(rec, kind) or has(rec, f"{kind}_agg")]
    others = [
        kind
        for kind in all_kinds()
        if kind not in SUMMARIES and kind not in OWN_VIEWS and has(rec, kind)
    ]
    views = (KindOverview(rec, kind, title="") for kind in [*known, *others, *own])
    return [(title_of(rec, view.kind), view.fragment()) for view in views]


def _parts(rec: Recording, kind: str) -> tuple[str, list[tuple[Part, pl.DataFrame]]]:
    """Return a note, and the tables with their frames."""
    if kind in SUMMARIES:
        return _summary(rec, [p for p in SUMMARIES[kind][1] if p.counted or has(rec, kind)])
    note = probes.describe(rec, kind)
    if probes.counted(rec, kind):
        found = probes.totals(rec, kind)
        bar = next((name for name, type_ in found.schema.items() if type_.is_integer()), "")
        return note, [(Part("Counted in the kernel", lambda _: found, bar=bar), found)]
    found = probes.events(rec, kind, ROWS)
    caption = f"Events: {rec[kind].num_rows:,}, first ones first"
    return note, [(Part(caption, lambda _: found), found)]


def _summary(rec: Recording, parts: list[Part]) -> tuple[str, list[tuple[Part, pl.DataFrame]]]:
    """Return the tables that can be made: an older session may lack a column of today."""
    made, notes = [], []
    for part in parts:
        try:
            made.append((part, part.frame(rec)))
        except MissingTableError as error:
            notes.append(f"Left out: “{part.caption}”. {error.args[0]}")
    return " ".join(notes), made


def part_table(part: Part, frame: pl.DataFrame) -> str:
    """Return a frame as a table."""
    return FrameTable(frame, *part.columns, bar=part.bar, title=part.caption).table()
