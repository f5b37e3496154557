"""Losses and overhead as small tables, and as the banner that every view of lossy data shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.frames.losses import incomplete, loss_summary, lossy, overhead_summary
from workbench.views import units
from workbench.views.html import css, escape
from workbench.views.tables import banner, table

if TYPE_CHECKING:
    from workbench.recording import Recording


def loss_banner(rec: Recording) -> str:
    """Return HTML that says what was lost, "" when nothing was."""
    return banner(lossy(rec))


def loss_table(rec: Recording) -> str:
    """Return what each kind produced, delivered and dropped, and how whole stacks are, as HTML."""
    rows = [
        (
            row["kind"],
            units.count(row["produced"]),
            units.count(row["delivered"]),
            units.count(row["dropped"]),
            units.share(row["share"]),
            row["reasons"] or "–",
        )
        for row in loss_summary(rec).iter_rows(named=True)
    ]
    if not rows:
        return '<p class="wb-muted">The recording counted nothing.</p>'
    head = ("kind", "produced", "delivered", "dropped", "lost", "reasons")
    found = incomplete(rec)
    more = f'<p class="wb-muted">{escape(found)}</p>' if found else ""
    return table(head, rows, numeric=(1, 2, 3, 4)) + more


def overhead_table(rec: Recording) -> str:
    """Return the measured cost of every BPF program as an HTML table."""
    rows = [
        (
            row["kind"],
            row["program"],
            units.count(row["run_count"]),
            units.duration(row["ns_per_run"]),
            units.share(row["cpu_share"]),
        )
        for row in overhead_summary(rec).iter_rows(named=True)
    ]
    if not rows:
        return '<p class="wb-muted">The cost of the programs was not measured.</p>'
    head = ("kind", "BPF program", "runs", "per run", "of one CPU")
    return table(head, rows, numeric=(2, 3, 4))


def recorder_sentence(rec: Recording) -> str:
    """Return what the recorder process itself cost, "" where that is not known."""
    cost = rec.manifest.recorder
    if not cost.get("wall_ns"):
        return ""
    share = cost.get("cpu_ns", 0) / cost["wall_ns"]
    text = f"The recorder took {units.share(share)} of one CPU"
    return f"{text} and {units.size(cost.get('max_rss_bytes'))} of memory."


def problem_list(rec: Recording) -> str:
    """Return what went wrong without ending the capture as HTML, "" when nothing did."""
    return "".join(banner(text) for text in rec.manifest.problems)


class Losses:
    """What a recording lost and what it cost, for notebooks.

    Parameters
    ----------
    rec : Recording
        Its manifest holds the counts.
    """

    def __init__(self, rec: Recording) -> None:
        self.rec = rec

    def fragment(self) -> str:
        """Return banner and tables as HTML."""
        return (
            f'<div class="wb wb-losses">{loss_banner(self.rec)}{problem_list(self.rec)}'
            f"{loss_table(self.rec)}<br>"
            f"{overhead_table(self.rec)}<p>{recorder_sentence(self.rec)}</p></div>"
        )

    def _repr_html_(self) -> str:
        return f"<style>{css()}</style>{self.fragment()}"

    def __repr__(self) -> str:
        lost = (lossy(self.rec) or "nothing was lost.", incomplete(self.rec))
        texts = (*filter(None, lost), *self.rec.manifest.problems)
        return f"<Losses: {' '.join(texts)}>"
