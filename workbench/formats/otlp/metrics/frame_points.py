"""The rows of a frame that a user computed as data points, for the frame_requests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import ExportError
from workbench.formats.otlp.lives import integers
from workbench.formats.otlp.metrics import points
from workbench.formats.otlp.metrics.metric import Intervals, series_attributes
from workbench.formats.otlp.metrics.series import SPAN, Series

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa


def measured(rows: pl.DataFrame, value: str | None, form: str, keys: list[str]) -> pl.DataFrame:
    """Return rows with ``value``, ``weight``, keys and spans; those that measure nothing go.

    Parameters
    ----------
    rows : polars.DataFrame
        As of :func:`workbench.formats.otlp.metrics.given_frame.rows_of`.
    value : str or None
        Column of numbers or durations; None counts rows, by their ``weight``.
    form : str
        ``sum``, ``gauge`` or ``histogram``.
    keys : list of str
        Columns that tell series apart.

    Raises
    ------
    ExportError
        A column holds something else, or is called as one that is made here.
    """
    import polars as pl

    number = pl.lit(1, pl.Int64) if value is None else _number(rows, value, form)
    weight = pl.col("weight").cast(pl.Int64) if "weight" in rows.columns else pl.lit(1, pl.Int64)
    clash = {"ts", "value", "weight", "interval", "point", "series"} & {*keys}
    if clash:
        raise ExportError(
            f"Series cannot be told apart by a column called {', '.join(sorted(clash))}.",
            advice="Give it another name: frame.rename({...}).",
        )
    found = rows.select(
        "ts",
        weight.alias("weight"),
        *SPAN,
        *(_key(rows.schema[name], name) for name in keys),
        number.alias("value"),
    )
    known = pl.col("value").is_not_null() & pl.col("weight").is_not_null()
    return found.filter(known & pl.col("value").is_finite())


def _number(rows: pl.DataFrame, name: str, form: str) -> pl.Expr:
    """Return the values: whole numbers stay whole, but for histograms."""
    import polars as pl

    kind = rows.schema[name]
    if not (kind.is_numeric() or isinstance(kind, pl.Duration)):
        raise ExportError(
            f"{name} holds {kind}, no numbers.", advice="Name a column of numbers or durations."
        )
    column = pl.col(name)
    if isinstance(kind, pl.Duration):
        column = column.dt.total_nanoseconds()
    whole = form != "histogram" and not (kind.is_float() or kind.is_decimal())
    return column.cast(pl.Int64 if whole else pl.Float64)


def _key(kind: Any, name: str) -> pl.Expr:
    import polars as pl

    if kind.is_nested():
        raise ExportError(f"{name} holds {kind}, which tells no series apart.")
    return pl.col(name) if kind.is_integer() else pl.col(name).cast(pl.String)


def points_of(
    rows: pl.DataFrame, times: Intervals, form: str, keys: Mapping[str, str]
) -> Iterator[pa.BinaryArray]:
    """Yield the points of all series, each with an exemplar where its rows have spans.

    Parameters
    ----------
    rows : polars.DataFrame
        As of :func:`measured`, at least one.
    times : Intervals
    form : str
    keys : mapping of str to str
        Columns that tell series apart, and their attributes.
    """
    import polars as pl

    rows = rows.with_columns(times.number(pl.col("ts")).alias("interval"))
    series = Series(list(keys), form)
    series.add(rows)
    sums = series.sums()
    if form == "histogram":
        for part, made in series.distributions(sums):
            time = times.ends(part)
            found = made(part, np.full(len(time), times.start), time)
            shown = series_attributes(points.HISTOGRAM_ATTRIBUTE, part, keys)
            examples = _exemplars(points.HISTOGRAM_EXEMPLAR, part, part["top"])
            yield found.encoded(shown, examples)
        return
    gauge = form == "gauge"
    time = integers(sums, "ts") if gauge else times.ends(sums)
    begin = np.full(len(time), 0 if gauge else times.start)
    shown = series_attributes(points.NUMBER_ATTRIBUTE, sums, keys)
    chosen = _chosen(rows, sums, gauge, ["interval", *keys])
    examples = _exemplars(points.NUMBER_EXEMPLAR, chosen, chosen["value"])
    yield points.numbers(shown, begin, time, sums["value"].to_numpy(), examples)


def _chosen(rows: pl.DataFrame, sums: pl.DataFrame, gauge: bool, keys: list[str]) -> pl.DataFrame:
    """Return the row of each point that is its exemplar: of gauges the last, else the largest."""
    import polars as pl

    at = (pl.col("ts") if gauge else pl.col("value")).arg_max()
    found = rows.group_by(keys).agg(pl.col("ts", "value", *SPAN).get(at))
    return sums.select(keys).join(
        found, on=keys, how="left", nulls_equal=True, maintain_order="left"
    )


def _exemplars(number: int, rows: pl.DataFrame, values: pl.Series) -> pa.BinaryArray:
    first, second, span = (rows[name].to_numpy() for name in SPAN)
    ts = integers(rows, "ts")
    return points.exemplars(number, ts, values.to_numpy(), span, (first, second))
