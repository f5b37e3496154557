from __future__ import annotations

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from workbench.frames.by_time import by_time


def scan_of(frames, seen=None):
    """Return what scans frames, and notes the windows that were asked for."""

    def scan(window):
        if seen is not None:
            seen.append(window)
        start, stop = window or (None, None)
        for frame in frames:
            part = frame
            if start is not None:
                part = part.filter(pl.col("ts") >= start)
            if stop is not None:
                part = part.filter(pl.col("ts") < stop)
            yield part

    return scan


def frames_of(lists):
    schema = {"ts": pl.Int64, "row": pl.Int64}
    count = 0
    for times in lists:
        rows = {"ts": times, "row": range(count, count + len(times))}
        count += len(times)
        yield pl.DataFrame(rows, schema=schema)


@given(st.lists(st.lists(st.integers(0, 1 << 40), max_size=30), max_size=6), st.integers(1, 200))
def test_all_rows_in_the_order_of_time(lists, limit):
    frames = list(frames_of(lists))
    parts = list(by_time(scan_of(frames), limit))
    expected = pl.concat([pl.DataFrame(schema={"ts": pl.Int64, "row": pl.Int64}), *frames])
    expected = expected.sort("ts", maintain_order=True)
    assert [row for part in parts for row in part.rows()] == expected.rows()


def test_parts_are_as_small_as_asked_for():
    frames = list(frames_of([range(at, at + 1000) for at in (3000, 0, 2000, 1000)]))
    seen = []
    parts = list(by_time(scan_of(frames, seen), 250))
    assert max(map(len, parts)) <= 250
    assert len(parts) == 16
    assert len(seen) == 2 + 16  # to count, to find the windows, and one by one


def test_few_rows_are_read_once():
    seen = []
    (part,) = by_time(scan_of(list(frames_of([[3, 1], [2]])), seen), 3)
    assert part["ts"].to_list() == [1, 2, 3]
    assert seen == [None]


def test_what_has_one_time_stays_together():
    (part,) = by_time(scan_of(list(frames_of([[7] * 10]))), 3)
    assert part["row"].to_list() == list(range(10))
