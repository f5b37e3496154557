import polars as pl
import pytest

from workbench.frames import durations


def test_figures_leave_out_nulls():
    frame = pl.DataFrame({"k": [1, 1, 1, 2], "t": [4, None, 10, None]})
    found = frame.group_by("k").agg(*durations.figures("t")).sort("k")
    assert found.rows() == [(1, 14, 4, 10, 10), (2, 0, None, None, None)]
    typed = durations.in_durations(found, "total")
    assert [typed.schema[n] for n in ("total", "p50", "max")] == [pl.Duration("ns")] * 3


@pytest.mark.parametrize("values", [[], [0], [1, 2, 3, 1000], [2**40, 5]])
def test_histogram_of_durations(values):
    series = pl.Series(values, dtype=pl.Int64).cast(pl.Duration("ns"))
    found = durations.histogram(durations.bucket_counts(series), "events")
    assert found["events"].sum() == len(values)
    assert (found["high_ns"][:-1] == found["low_ns"][1:]).all()
    for value in values:
        hits = found.filter(pl.col("low_ns") <= value, pl.col("high_ns") > value)
        assert hits["events"].to_list() > [0]
