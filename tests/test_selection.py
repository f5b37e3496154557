from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import polars as pl
import pytest

from workbench.errors import QueryError
from workbench.selection import Selection, datetime_of, nanoseconds

ORIGIN = 1_760_000_000_000_000_123
AT = datetime(2025, 10, 9, 8, 53, 22, 500, UTC)
AT_NS = 1_760_000_002_000_500_000


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (None, None),
        (AT, AT_NS),
        (AT.replace(tzinfo=None), AT_NS),
        (AT.astimezone(timezone(timedelta(hours=5))), AT_NS),
        (pd.Timestamp(AT_NS + 7, unit="ns", tz="UTC"), AT_NS + 7),
        (np.datetime64(AT_NS + 7, "ns"), AT_NS + 7),
        (np.timedelta64(3, "us"), ORIGIN + 3000),
        (np.int64(AT_NS), AT_NS),
        (np.float64(0.5), ORIGIN + 500_000_000),
        (AT_NS, AT_NS),
        (1.5, ORIGIN + 1_500_000_000),
        (-1.0, ORIGIN - 1_000_000_000),
        (timedelta(seconds=1, microseconds=1), ORIGIN + 1_000_001_000),
    ],
    ids=repr,
)
def test_times(time, expected):
    assert nanoseconds(time, ORIGIN) == expected


@pytest.mark.parametrize(
    "time",
    [5, 0, True, "now", float("nan"), float("inf"), 1e30, 1 << 80, datetime(9999, 1, 1)],
    ids=repr,
)
def test_what_is_no_time(time):
    with pytest.raises(QueryError):
        nanoseconds(time, ORIGIN)


def test_seconds_as_int_get_advice():
    with pytest.raises(QueryError, match=r"5\.0"):
        Selection().cut(5, None, ORIGIN)


def test_windows_intersect():
    one = Selection().cut(1.0, 5.0, 0).cut(None, 4.0, 0).cut(0.5, 9.0, 0)
    assert one.window == (10**9, 4 * 10**9)
    assert Selection().window is None
    assert not Selection()
    with pytest.raises(QueryError, match="before it starts"):
        Selection().cut(2.0, 1.0, 0)


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("pid", "bash"),
        ("pid", 1.5),
        ("pid", [1, "2"]),
        ("comm", 5),
        ("comm", ["a", 1]),
        ("name", b"x"),
    ],
)
def test_values_of_the_wrong_type(column, values):
    with pytest.raises(QueryError):
        Selection().having(column, values)


FRAME = pl.DataFrame(
    {"pid": [1, 2, 3, None], "comm": ["a", "b", None, "a"]},
    schema={"pid": pl.UInt32, "comm": pl.Categorical},
)


@pytest.mark.parametrize(
    ("column", "values", "rows"),
    [
        ("pid", 2, [1]),
        ("pid", np.uint32(2), [1]),
        ("pid", [1, 3], [0, 2]),
        ("pid", range(2, 4), [1, 2]),
        ("pid", [], []),
        ("pid", [-1, 1 << 32], []),
        ("pid", np.array([1, 2]), [0, 1]),
        ("comm", "a", [0, 3]),
        ("comm", {"b", "zzz"}, [1]),
        ("comm", "zzz", []),
        ("comm", [], []),
    ],
    ids=repr,
)
def test_values(column, values, rows):
    condition = Selection().having(column, values).predicate(FRAME.columns)
    assert FRAME.with_row_index().filter(condition)["index"].to_list() == rows


def test_conditions_on_columns_that_a_table_lacks_do_not_concern_it():
    selection = Selection().cut(0.0, 1.0, 10**18).having("name", "read").meeting("ret > 0")
    assert selection.predicate(["pid"]) is None
    assert selection.predicate(["name"]) is not None
    assert selection.predicate(["ret"]) is not None


@pytest.mark.parametrize("expression", ["select", "a >", 5, None])
def test_no_expression(expression):
    with pytest.raises(QueryError):
        Selection().meeting(expression)


def test_description():
    selection = (
        Selection().cut(0.0, None, ORIGIN).having("pid", [1, 2, 3, 4, 5]).having("comm", "x")
    )
    text = selection.meeting("ret > 0").describe()
    assert "2025-10-09T08:53:20" in text
    assert "pid in [1, 2, 3, 4, …]" in text
    assert "comm = x" in text
    assert "ret" in text
    assert Selection().describe() == ""
    assert datetime_of(AT_NS) == AT
