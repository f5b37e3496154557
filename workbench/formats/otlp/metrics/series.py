"""Events summed to series over time, in memory that does not grow with the number of events.

Rows come slice by slice, in any order. What is kept is one row per series and interval, and one
per bucket that is not empty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.formats.otlp.metrics.buckets import bucket_of
from workbench.formats.otlp.metrics.layout import Layout, chunks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import polars as pl

_COMPACT = 1 << 18
"""Rows of parts above which they are summed."""
SPAN = ("trace_1", "trace_2", "span")


@dataclass
class Series:
    """Sums of one metric by series and interval.

    Parameters
    ----------
    by : sequence of str
        Columns that tell series apart.
    form : str
        As of :class:`workbench.formats.otlp.metrics.instrument.Instrument`.
    """

    by: Sequence[str]
    form: str

    def __post_init__(self) -> None:
        self._sums: list[pl.DataFrame] = []
        self._cells: list[pl.DataFrame] = []

    def add(self, rows: pl.DataFrame) -> None:
        """Add rows with ``interval``, ``ts``, ``value``, ``weight``, the columns of ``by``.

        Histograms take ``trace_1``, ``trace_2`` and ``span`` as well, 0 for none.
        """
        import polars as pl

        keys = ["interval", *self.by]
        value, weight = pl.col("value"), pl.col("weight")
        if self.form == "gauge":
            sums = rows.group_by(keys).agg(pl.col("ts").max(), value.sort_by("ts").last())
        elif self.form == "sum":
            sums = rows.group_by(keys).agg((value * weight).sum().alias("value"))
        else:
            top = value.arg_max()
            sums = rows.group_by(keys).agg(
                weight.sum().alias("count"),
                (value * weight).sum().alias("sum"),
                value.min().alias("low"),
                value.max().alias("high"),
                *(pl.col(name).get(top) for name in ("ts", *SPAN)),
            )
            numbers = rows["value"].to_numpy()
            with np.errstate(divide="ignore"):
                sizes = np.abs(np.where(numbers == 0, 1.0, numbers))
            cells = rows.select(*keys, "weight").with_columns(
                pl.Series("sign", np.sign(numbers).astype(np.int8)),
                pl.Series("bucket", np.where(numbers == 0, 0, bucket_of(sizes)).astype(np.int32)),
            )
            self._cells.append(_texts(_cells(cells, keys)))
        self._sums.append(_texts(sums))
        if sum(map(len, self._cells)) + sum(map(len, self._sums)) > _COMPACT:
            self._compact()

    def _compact(self) -> None:
        import polars as pl

        keys = ["interval", *self.by]
        if self._cells:
            self._cells = [_cells(pl.concat(self._cells), keys)]
        if not self._sums:
            return
        rows = pl.concat(self._sums)
        if self.form == "gauge":
            rows = rows.group_by(keys).agg(pl.col("ts").max(), pl.col("value").sort_by("ts").last())
        elif self.form == "sum":
            rows = rows.group_by(keys).agg(pl.col("value").sum())
        else:
            top = pl.col("high").arg_max()
            rows = rows.group_by(keys).agg(
                pl.col("count", "sum").sum(),
                pl.col("low").min(),
                *(pl.col(name).get(top) for name in ("high", "ts", *SPAN)),
            )
        self._sums = [rows]

    def sums(self) -> pl.DataFrame:
        """Return one row per series and interval, in the order of both, cumulative.

        Gauges have ``value`` as it was last; sums ``value``; histograms ``count``, ``sum``,
        ``low`` and ``high``, with ``ts`` and span of the largest value of the interval itself.
        """
        import polars as pl

        self._compact()
        if not self._sums:
            return pl.DataFrame()
        rows = self._sums[0].sort(*self.by, "interval", nulls_last=False)
        if self.form == "gauge":
            return rows
        if self.form == "sum":
            return rows.with_columns(self._over(pl.col("value").cum_sum()))
        high = pl.col("high")
        return rows.with_columns(
            high.alias("top"),
            self._over(pl.col("count").cum_sum()),
            self._over(pl.col("sum").cum_sum()),
            self._over(pl.col("low").cum_min()),
            self._over(high.cum_max()),
        )

    def _over(self, expression: Any) -> Any:
        return expression.over(self.by) if self.by else expression

    def distributions(self, rows: pl.DataFrame) -> Iterator[tuple[pl.DataFrame, Any]]:
        """Yield rows of :meth:`sums` with a function from their times to a distribution.

        Whole series, as many as can be laid out at a time.
        """
        import polars as pl

        found = rows.with_row_index("point").with_columns(
            pl.struct(self.by).rle_id().alias("series") if self.by else pl.lit(0).alias("series")
        )
        keys = ["interval", *self.by]
        cells = self._cells[0].join(
            found.select(*keys, "point", "series"), on=keys, how="left", nulls_equal=True
        )
        cells = cells.sort("series", "point", "sign", "bucket")
        series = found["series"].to_numpy().astype(np.int64)
        of_cell = cells["series"].to_numpy().astype(np.int64)
        for low, high in chunks(series, of_cell, cells["bucket"].to_numpy()):
            a, b = np.searchsorted(series, [low, high])
            c, d = np.searchsorted(of_cell, [low, high])
            layout = Layout(series[a:b] - low, cells[int(c) : int(d)], int(a), low)
            yield rows[int(a) : int(b)], layout.distribution


def _texts(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows with texts as strings: numbers of a dictionary are those of one slice."""
    import polars as pl
    from polars import selectors as cs

    return rows.with_columns((cs.categorical() | cs.enum()).cast(pl.String))


def _cells(rows: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    import polars as pl

    return rows.group_by(*keys, "sign", "bucket").agg(pl.col("weight").sum())
