from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.frames.quantiles import (
    bounds,
    bucket_of,
    histogram_columns,
    histogram_quantile,
    quantile,
    quantile_columns,
)

VALUES = st.lists(st.integers(0, 2**53), min_size=1, max_size=40)


@given(VALUES, st.sampled_from([0.0, 0.25, 0.5, 0.99, 1.0]))
@settings(deadline=None)
def test_quantile_is_inverted_cdf(values: list[int], q: float) -> None:
    frame = pl.DataFrame({"key": 1, "v": values, "w": 1}, schema_overrides={"v": pl.Int64})
    for weighted in (False, True):
        found = frame.group_by("key").agg(quantile(pl.col("v"), pl.col("w"), q, weighted=weighted))
        assert found["v"][0] == np.quantile(np.array(values), q, method="inverted_cdf")


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(1, 5)), min_size=1, max_size=30))
@settings(deadline=None)
def test_weights_repeat_values(pairs: list[tuple[int, int]]) -> None:
    values, weights = zip(*pairs, strict=True)
    frame = pl.DataFrame({"key": 1, "v": values, "w": weights})
    found = frame.group_by("key").agg(quantile(pl.col("v"), pl.col("w"), 0.5, weighted=True))
    repeated = np.repeat(values, weights)
    assert found["v"][0] == np.quantile(repeated, 0.5, method="inverted_cdf")


@given(VALUES)
@settings(deadline=None)
def test_buckets_are_exact(values: list[int]) -> None:
    frame = pl.DataFrame({"v": [*values, -5, 0, 1, 2**62]}, schema={"v": pl.Int64})
    found = frame.select(bucket_of(pl.col("v")))["v"].to_list()
    assert found == [max(1, value).bit_length() - 1 for value in frame["v"]]


def test_bounds_are_contiguous() -> None:
    low, high = bounds(np.arange(64))
    assert low[:3].tolist() == [0, 2, 4]
    assert (high[:-1] == low[1:]).all()
    assert int(high[-1]) == 2**64 - 1


@given(st.lists(st.integers(1, 2**40), min_size=1, max_size=50), st.sampled_from([0.5, 0.99]))
@settings(deadline=None)
def test_interpolation_stays_in_the_bucket(values: list[int], q: float) -> None:
    buckets = [value.bit_length() - 1 for value in values]
    counts = np.bincount(buckets, minlength=64)[None, :]
    true = int(np.quantile(np.array(values), q, method="inverted_cdf"))
    estimate = histogram_quantile(counts, q)[0]
    assert true / 2 <= estimate <= true * 2 or true <= 1


def test_empty_histogram_has_no_quantile() -> None:
    assert np.isnan(histogram_quantile(np.zeros((1, 64), int), 0.5)[0])
    assert histogram_quantile(np.zeros((0, 64), int), 0.5).shape == (0,)


@pytest.mark.parametrize(("q", "expected"), [(0.5, 1.5 * 1024), (1.0, 2048)])
def test_values_are_spread_evenly(q: float, expected: float) -> None:
    counts = np.zeros((1, 64), int)
    counts[0, 10] = 100
    assert histogram_quantile(counts, q)[0] == expected


def test_columns_of_values_and_of_histograms() -> None:
    frame = pl.DataFrame({"key": [1, 1, 1], "v": [5, 1, 9]})
    assert frame.group_by("key").agg(quantile_columns(pl.col("v"), "v_")).rows() == [(1, 5, 9)]
    counts = np.zeros((2, 64), np.int64)
    counts[0, 3] = 4  # [8, 16)
    p50, p99 = histogram_columns(counts, "t_")
    assert (p50.name, p99.name) == ("t_p50", "t_p99")
    assert p50.to_list() == [12.0, None]
    assert p99.to_list() == [16.0, None]
