"""Slices of time, against a plain loop."""

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import ParameterError
from workbench.frames.slices import heatmap, sliced

EVENTS = st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1 << 40)), min_size=1)


def frame(events):
    ts, took = (np.array(c, np.int64) for c in (zip(*events, strict=True) if events else ([], [])))
    return pl.LazyFrame({"ts": ts, "took": took}).select(
        pl.col("ts").cast(pl.Datetime("ns", "UTC")), pl.col("took").cast(pl.Duration("ns"))
    )


@given(EVENTS, st.integers(1, 20))
def test_a_heatmap_counts_each_event_once(events, count):
    cells = heatmap(frame(events), "took", count)
    first, last = min(e[0] for e in events), max(e[0] for e in events)
    width = max(1, -(-(last - first + 1) // count))
    expected: dict[tuple[int, int], int] = {}
    for ts, took in events:
        low = 0 if took < 2 else 1 << (took.bit_length() - 1)
        key = (first + (ts - first) // width * width, low)
        expected[key] = expected.get(key, 0) + 1
    got = cells.select(pl.col("ts").cast(pl.Int64), "low_ns", "count").rows()
    assert {row[:2]: row[2] for row in got} == expected
    assert got == sorted(got)
    assert cells["ts"].n_unique() <= count
    assert (cells["high_ns"] > cells["low_ns"]).all()


def test_sums_by_a_column():
    events = frame([(0, 1), (1, 2), (9, 3)]).with_columns(op=pl.Series(["a", "b", "a"]))
    made = sliced(events, 2, [pl.len().alias("n"), pl.col("took").sum()], ["op"])
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert made.drop("took").rows()[:2] == [(epoch, "a", 1), (epoch, "b", 1)]
    assert made["took"].cast(pl.Int64).to_list() == [1, 2, 3]


def test_nothing_and_no_slices():
    assert heatmap(frame([]), "took", 5).height == 0
    with pytest.raises(ParameterError, match="0 slices"):
        heatmap(frame([(1, 1)]), "took", 0)
