"""Series over time, against sums worked out one by one."""

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.formats.otlp.metrics import series as module
from workbench.formats.otlp.metrics.buckets import bucket_of
from workbench.formats.otlp.metrics.series import Series

VALUE = st.one_of(st.just(0.0), st.floats(1e-6, 1e12), st.floats(-1e6, -1e-6))
ROW = st.tuples(st.integers(0, 4), st.sampled_from(["a", "b", None]), VALUE, st.integers(1, 5))


def frame(rows):
    zero = pl.lit(0, pl.UInt64)
    made = pl.DataFrame(
        rows,
        schema={"interval": pl.Int32, "key": pl.String, "value": pl.Float64, "weight": pl.Int64},
        orient="row",
    ).with_columns(zero.alias("trace_1"), zero.alias("trace_2"))
    return made.with_row_index("ts").with_columns(
        pl.col("ts").cast(pl.Int64), (pl.col("ts") + 1).cast(pl.UInt64).alias("span")
    )


def added(form, parts):
    found = Series(["key"], form)
    for part in parts:
        found.add(frame(part))
    return found


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(ROW, min_size=1, max_size=12), min_size=1, max_size=4), st.booleans())
def test_distributions(parts, small):
    before = module._COMPACT
    module._COMPACT = 2 if small else before
    try:
        found = added("histogram", parts)
        sums = found.sums()
    finally:
        module._COMPACT = before
    rows = [row for part in parts for row in part]
    seen = set()
    for part, make in found.distributions(sums):
        zeros = np.zeros(part.height, np.int64)
        made = make(part, zeros, zeros)
        for i, point in enumerate(part.iter_rows(named=True)):
            seen.add((point["key"], point["interval"]))
            mine = [r for r in rows if r[1] == point["key"] and r[0] <= point["interval"]]
            assert made.count[i] == sum(r[3] for r in mine)
            assert np.isclose(made.sum[i], sum(r[2] * r[3] for r in mine))
            assert made.low[i] == min(r[2] for r in mine)
            assert made.high[i] == max(r[2] for r in mine)
            assert made.zeros[i] == sum(r[3] for r in mine if r[2] == 0)
            for sign, buckets in ((1, made.positive), (-1, made.negative)):
                expected = {}
                for _, _, value, weight in mine:
                    if value * sign > 0:
                        at = int(bucket_of([abs(value)])[0]) >> (3 - int(made.scale[i]))
                        expected[at] = expected.get(at, 0) + weight
                if buckets is None:
                    assert not expected
                    continue
                counts = buckets.counts[i]
                got = {int(buckets.first[i]) + n: int(c) for n, c in enumerate(counts) if c}
                assert got == expected
    assert seen == {(r[1], r[0]) for r in rows}


def test_exemplars_are_the_largest_of_their_own_interval():
    rows = [(0, "a", 5.0, 1), (0, "a", 9.0, 1), (1, "a", 2.0, 1)]
    sums = added("histogram", [rows]).sums()
    assert sums["top"].to_list() == [9.0, 2.0]
    assert sums["span"].to_list() == [2, 3]
    assert sums["high"].to_list() == [9.0, 9.0]


def test_sums_and_gauges():
    parts = [[(0, "a", 5.0, 2), (2, "a", 1.0, 1)], [(0, "b", 7.0, 1), (0, "a", 3.0, 1)]]
    sums = added("sum", parts).sums()
    assert sums.select("key", "interval", "value").rows() == [
        ("a", 0, 13.0),
        ("a", 2, 14.0),
        ("b", 0, 7.0),
    ]
    gauges = added("gauge", parts).sums()
    assert gauges.select("key", "interval", "value").rows() == [
        ("a", 0, 3.0),
        ("a", 2, 1.0),
        ("b", 0, 7.0),
    ]
    assert Series([], "sum").sums().is_empty()
