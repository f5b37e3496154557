"""Plain HTML tables: for what needs no sorting, and for pages that run no scripts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from workbench.views.html import escape


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    numeric: Sequence[int] = (),
    wide: Sequence[int] = (),
    bars: Mapping[int, Sequence[float]] | None = None,
    caption: str = "",
) -> str:
    """Return an HTML table with everything escaped.

    Parameters
    ----------
    head : sequence of str
        Titles of the columns.
    rows : iterable of sequences
        Cells; shown as ``str``.
    numeric : sequence of int
        Columns that are aligned to the right.
    wide : sequence of int
        Columns whose text may wrap.
    bars : mapping of int to sequence of float
        Columns behind whose cells a bar is drawn, and its length in each row: 0 to 1.
    caption : str
        Shown above.
    """
    styles = dict.fromkeys(wide, ' class="wb-wrap"') | dict.fromkeys(numeric, ' class="wb-number"')

    def style(index: int, number: int) -> str:
        if bars is None or index not in bars:
            return styles.get(index, "")
        share = min(max(bars[index][number], 0.0), 1.0)
        return f' class="wb-number wb-with-bar" style="--share: {share:.1%}"'

    def cells(row: Sequence[object], number: int) -> str:
        return "".join(
            f"<td{style(index, number)}>{escape(cell)}</td>" for index, cell in enumerate(row)
        )

    body = "".join(f"<tr>{cells(row, number)}</tr>" for number, row in enumerate(rows))
    titles = "".join(
        f"<th{styles.get(index, '')}>{escape(title)}</th>" for index, title in enumerate(head)
    )
    label = f"<caption>{escape(caption)}</caption>" if caption else ""
    return (
        f'<div class="wb-scroll"><table class="wb-table">{label}'
        f"<thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def banner(text: str) -> str:
    """Return a sentence that cannot be overlooked, "" for an empty one."""
    return f'<div class="wb-banner" role="alert">{escape(text)}</div>' if text else ""


def card(value: str, label: str, detail: str = "") -> str:
    """Return one figure with its label, and a detail in small print."""
    small = f'<div class="wb-card-detail">{escape(detail)}</div>' if detail else ""
    return (
        f'<div class="wb-card"><div class="wb-card-label">{escape(label)}</div>'
        f'<div class="wb-card-value">{escape(value)}</div>{small}</div>'
    )


def cards(figures: Iterable[tuple[str, str, str]]) -> str:
    """Return a row of :func:`card`: (value, label, detail) each."""
    return f'<div class="wb-cards">{"".join(card(*figure) for figure in figures)}</div>'
