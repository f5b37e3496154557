"""What `wb.kinds()` shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workbench.kinds._kind import CaptureKind


def kinds_table(kinds: Iterable[CaptureKind]) -> Any:
    """Return capture kinds as a table.

    Returns
    -------
    polars.DataFrame
        Columns: kind, answers, probes, parameters, cost.
    """
    import polars as pl

    rows = [
        {
            "kind": kind.name,
            "answers": kind.answers,
            "probes": ", ".join(kind.probes),
            "parameters": ", ".join(f"{p.name}={p.default!r}" for p in kind.parameters),
            "cost": kind.cost,
        }
        for kind in kinds
    ]
    return pl.DataFrame(rows)
