"""A frame that a user computed, as the rows that metrics and logs are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import ExportError
from workbench.formats.otlp.lives import People, integers
from workbench.formats.otlp.metrics.series import SPAN

if TYPE_CHECKING:
    import polars as pl

Names = Mapping[str, str] | Sequence[str]
"""Columns, and the attributes that they become; alone they are called as the columns."""


def attributes_of(names: Names) -> dict[str, str]:
    """Return the attributes by column."""
    return dict(names) if isinstance(names, Mapping) else {name: name for name in names}


def rows_of(frame: Any, people: People, end: int, *columns: str) -> pl.DataFrame:
    """Return the rows that have a time, with ``ts`` in ns UTC and the span of their thread.

    Parameters
    ----------
    frame : polars.DataFrame, polars.LazyFrame, pandas.DataFrame or pyarrow.Table
    people : People
        Whose spans are looked up by ``pid``, ``tid`` and ``ts``; 0 for none.
    end : int
        Time of all rows of a frame without ``ts``, ns UTC.
    *columns : str
        Those that it must have.

    Raises
    ------
    ExportError
        It is no frame, lacks a column, or its times are none.
    """
    import polars as pl

    rows = _polars(frame)
    if missing := [name for name in columns if name not in rows.columns]:
        raise ExportError(
            f"The frame has no column {', '.join(missing)}.",
            advice=f"It has {', '.join(rows.columns)}.",
        )
    if clash := {*SPAN} & {*columns}:
        raise ExportError(
            f"A column that is called {', '.join(sorted(clash))} cannot be told apart from ids.",
            advice="Give it another name: frame.rename({...}).",
        )
    spans = _spanned if {"ts", "pid", "tid"} <= {*rows.columns} else _alone
    if "ts" not in rows.columns:
        rows = rows.with_columns(pl.lit(end, pl.Int64).alias("ts"))
    return spans(_timed(rows), people)


def _polars(frame: Any) -> pl.DataFrame:
    import polars as pl

    if isinstance(frame, pl.LazyFrame):
        return frame.collect()
    try:
        return frame if isinstance(frame, pl.DataFrame) else pl.DataFrame(frame)
    except (TypeError, ValueError) as error:
        raise ExportError(
            f"A {type(frame).__name__} is no frame.",
            why=str(error),
            advice="Give a frame of polars or pandas, or an Arrow table.",
        ) from error


def _timed(rows: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    kind, ts = rows.schema["ts"], pl.col("ts")
    if isinstance(kind, pl.Datetime):
        ts = ts.dt.cast_time_unit("ns")
    elif not kind.is_integer():
        raise ExportError(
            f"Times are datetimes or integers in ns, but ts is {kind}.",
            advice="Convert it, or give the column another name.",
        )
    return rows.with_columns(ts.cast(pl.Int64)).filter(pl.col("ts").is_not_null())


def _spanned(rows: pl.DataFrame, people: People) -> pl.DataFrame:
    import polars as pl

    trace, span = people.owners(*(integers(rows, name) for name in ("pid", "tid", "ts")))
    found = zip(SPAN, (*trace, span), strict=True)
    return rows.with_columns(pl.Series(name, ids) for name, ids in found)


def _alone(rows: pl.DataFrame, _: People) -> pl.DataFrame:
    import polars as pl

    none = np.zeros(rows.height, np.uint64)
    return rows.with_columns(pl.Series(name, none) for name in SPAN)
