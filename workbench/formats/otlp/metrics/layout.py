"""Buckets of many series side by side, to sum them up over time and to cut them to a size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from workbench.formats.otlp.metrics.buckets import SCALE, shift_for
from workbench.formats.otlp.metrics.points import Buckets, Distribution

if TYPE_CHECKING:
    import polars as pl

_DENSE = 1 << 19
"""Bucket counts that are laid out at a time."""


def chunks(
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


class Layout:
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
