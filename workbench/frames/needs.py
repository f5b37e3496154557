"""What a frame needs of a recording, and the error that says so when it is not there.

Every function in :mod:`workbench.frames` asks for its table and columns through
:func:`need` before it computes anything, so a session that holds something else ends in one
sentence with advice and not in a stack trace of the dataframe library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.errors import MissingTableError

if TYPE_CHECKING:
    import polars as pl

    from workbench.recording import Recording


def has(rec: Recording, table: str) -> bool:
    """Return whether the recording holds a table of that name."""
    return table in rec.tables


def only_counted(rec: Recording, events: str, counts: str) -> bool:
    """Return whether the kernel's ``counts`` are all that there is: single ``events`` tell more."""
    return has(rec, counts) and not has(rec, events)


def need(rec: Recording, table: str, *columns: str) -> pl.LazyFrame:
    """Return a table of the recording, narrowed to the columns that are needed.

    Parameters
    ----------
    rec : Recording
        Where to look.
    table : str
        Name of the table.
    *columns : str
        Columns that must be there.

    Returns
    -------
    polars.LazyFrame
        Only these columns, with the recording's selection applied.

    Raises
    ------
    MissingTableError
        The recording has no such table, or the table lacks a column.
    """
    if not has(rec, table):
        held = ", ".join(sorted(rec.tables)) or "none"
        raise MissingTableError(
            f"This session holds no table {table!r}.",
            why=f"It holds: {held}.",
            advice=_advice(table),
        )
    names = set(rec[table].schema.names)
    missing = [column for column in columns if column not in names]
    if missing:
        raise MissingTableError(
            f"Table {table!r} lacks the column {', '.join(missing)}.",
            why=f"It has: {', '.join(sorted(names))}.",
            advice="Record the session again with this version of the workbench.",
        )
    frame: pl.LazyFrame = rec[table].lazy()
    return frame.select(columns)


def _advice(table: str) -> str:
    if table in ("stacks", "frames"):
        return "Record a kind that takes stacks, such as: workbench record cpu -- COMMAND"
    if table == "processes":
        return "Every recording of this version keeps processes; record the session again."
    kind = table.removesuffix("_agg")
    return f"Record it with: workbench record {kind} -- COMMAND"
