"""Frames of users as rows with a time and the span of a thread."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from otlp_sessions import T0, attributes, messages, spans, synthetic

from workbench.errors import ExportError
from workbench.formats.otlp.lives import People
from workbench.formats.otlp.metrics.given_frame import attributes_of, rows_of
from workbench.formats.otlp.metrics.series import SPAN

FRAME = pl.DataFrame({"ts": [T0, None, T0 + 1], "pid": [1000] * 3, "tid": [1001] * 3})


@pytest.fixture
def rec(tmp_path):
    return synthetic(tmp_path, 10)


@pytest.mark.parametrize("make", [pl.DataFrame.lazy, pl.DataFrame.to_pandas, pl.DataFrame.to_arrow])
def test_frames_of_all_libraries(rec, make):
    people = People(rec)
    frame = FRAME.drop_nulls()
    assert rows_of(make(frame), people, 5).equals(rows_of(frame, people, 5))


def test_rows_have_the_span_of_their_thread(rec):
    found = rows_of(FRAME, People(rec), 5)
    assert found["ts"].to_list() == [T0, T0 + 1]
    known = {s.span_id: s for s in spans(messages(rec, "traces"))}
    first, second, span = (found[name][0].to_bytes(8, "big") for name in SPAN)
    assert attributes(known[span])["thread.id"] == 1001
    assert known[span].trace_id == first + second


def test_times(rec):
    people = People(rec)
    day = datetime(2026, 1, 1, tzinfo=UTC)
    for unit in ("ms", "us", "ns"):
        frame = pl.DataFrame({"ts": [day]}, schema={"ts": pl.Datetime(unit, "UTC")})
        assert rows_of(frame, people, 5)["ts"].to_list() == [int(day.timestamp()) * 10**9]
    without = rows_of(pl.DataFrame({"a": [1, 2]}), people, 5)
    assert without["ts"].to_list() == [5, 5]
    assert without["span"].to_list() == [0, 0]
    # Without a time nobody knows which thread had the number.
    assert rows_of(FRAME.drop("ts"), people, 5)["span"].to_list() == [0, 0, 0]


@pytest.mark.parametrize(
    ("frame", "columns", "text"),
    [
        (FRAME, ["a", "tid", "b"], "no column a, b"),
        (pl.DataFrame({"ts": [timedelta(1)]}), [], "ts is Duration"),
        (pl.DataFrame({"ts": [1.0]}), [], "ts is Float64"),
        (pl.DataFrame({"span": [1]}), ["span"], "called span"),
        (object(), [], "object is no frame"),
    ],
)
def test_what_is_none(rec, frame, columns, text):
    with pytest.raises(ExportError, match=text):
        rows_of(frame, People(rec), 5, *columns)


def test_names():
    assert attributes_of(["a", "b"]) == {"a": "a", "b": "b"}
    assert attributes_of({"a": "x"}) == {"a": "x"}
