"""Events summed to series over time, in memory that does not grow with the number of events.

Rows come slice by slice, in any order. What is kept is one row per series and interval, and one
per bucket that is not empty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from workbench.formats.otlp.buckets import SCALE, bucket_of, shift_for
from workbench.formats.otlp.points import Buckets, Distribution

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import polars as pl

_COMPACT = 1 << 18
"""Rows of parts above which they are summed."""
_DENSE = 1 << 22
"""Bucket counts that are laid out at a time."""
SPAN = ("trace_1", "trace_2", "span")


@dataclass
class Series:
    """Sums of one metric by series and interval.

    Parameters
    ----------
    by : sequence of str
        Columns that tell series apart.
    form : str
        As of :class:`workbench.formats.otlp.instruments.Instrument`.
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
            self._cells.append(_cells(cells, keys))
        self._sums.append(sums)
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
        for low, high in _chunks(series, of_cell, cells["bucket"].to_numpy()):
            a, b = np.searchsorted(series, [low, high])
            c, d = np.searchsorted(of_cell, [low, high])
            layout = _Layout(series[a:b] - low, cells[int(c) : int(d)], int(a), low)
            yield rows[int(a) : int(b)], layout.distribution


def _cells(rows: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    import polars as pl

    return rows.group_by(*keys, "sign", "bucket").agg(pl.col("weight").sum())


def _chunks(
    series: NDArray[np.int64], of_cell: NDArray[np.int64], bucket: NDArray[Any]
) -> Iterator[tuple[int, int]]:
    """Yield ranges of series whose points times buckets are few enough."""
    count = int(series[-1]) + 1 if len(series) else 0
    points = np.bincount(series, minlength=count)
    low = np.full(count, np.iinfo(np.int64).max)
    high = np.full(count, np.iinfo(np.int64).min)
    np.minimum.at(low, of_cell, bucket)
    np.maximum.at(high, of_cell, bucket)
    start = 0
    while start < count:
        size, first, last, stop = 0, int(low[start]), int(high[start]), start
        while stop < count:
            first, last = min(first, int(low[stop])), max(last, int(high[stop]))
            size += int(points[stop])
            if stop > start and size * (last - first + 1) > _DENSE:
                break
            stop += 1
        yield start, stop
        start = stop


class _Layout:
    """Buckets of whole series side by side, summed up over the points of each.

    Parameters
    ----------
    series : numpy.ndarray
        Of each point, from 0, in order.
    cells : polars.DataFrame
        ``point``, ``series``, ``sign``, ``bucket`` and ``weight``.
    point, first : int
        Numbers of the first point and of the first series.
    """

    def __init__(
        self, series: NDArray[np.int64], cells: pl.DataFrame, point: int, first: int
    ) -> None:
        self._series = series
        self._point = cells["point"].to_numpy().astype(np.int64) - point
        self._sign = cells["sign"].to_numpy()
        self._weight = cells["weight"].to_numpy().astype(np.int64)
        bucket = cells["bucket"].to_numpy().astype(np.int64)
        of = cells["series"].to_numpy().astype(np.int64) - first
        shift = self._shift(of, bucket)
        self._bucket = bucket >> shift[of]
        self.scale = SCALE - shift[series]
        # Where the points of each point's series begin, to sum within the series.
        self._start = np.searchsorted(series, series)

    def _shift(self, of: NDArray[np.int64], bucket: NDArray[np.int64]) -> NDArray[np.int64]:
        count = int(self._series[-1]) + 1
        low, high = np.zeros(count, np.int64), np.zeros(count, np.int64)
        signed = self._sign != 0
        first = np.full(count, np.iinfo(np.int64).max)
        last = np.full(count, np.iinfo(np.int64).min)
        np.minimum.at(first, of[signed], bucket[signed])
        np.maximum.at(last, of[signed], bucket[signed])
        some = first <= last
        low[some], high[some] = first[some], last[some]
        return shift_for(low, high)

    def _summed(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Sum over the points of each series, from its first up to each."""
        total = np.cumsum(counts, axis=0)
        before = np.concatenate([np.zeros((1, *counts.shape[1:]), np.int64), total])
        return np.asarray(total - before[self._start])

    def _buckets(self, sign: int) -> Buckets:
        mine = self._sign == sign
        bucket = self._bucket[mine]
        first = int(bucket.min()) if len(bucket) else 0
        width = int(bucket.max()) - first + 1 if len(bucket) else 0
        counts = np.zeros((len(self._series), width), np.int64)
        np.add.at(counts, (self._point[mine], bucket - first), self._weight[mine])
        return Buckets(np.full(len(counts), first), self._summed(counts))

    def distribution(
        self, rows: pl.DataFrame, start: NDArray[np.int64], time: NDArray[np.int64]
    ) -> Distribution:
        """Return the histograms of the points."""
        zeros = np.zeros(len(self._series), np.int64)
        none = self._sign == 0
        np.add.at(zeros, self._point[none], self._weight[none])
        negative = bool((self._sign < 0).any())
        return Distribution(
            start=start,
            time=time,
            count=rows["count"].to_numpy().astype(np.int64),
            sum=rows["sum"].to_numpy().astype(np.float64),
            scale=self.scale,
            zeros=self._summed(zeros),
            positive=self._buckets(1),
            negative=self._buckets(-1) if negative else None,
            low=rows["low"].to_numpy().astype(np.float64),
            high=rows["high"].to_numpy().astype(np.float64),
        )
