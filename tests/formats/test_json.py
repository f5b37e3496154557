from __future__ import annotations

import io
import json

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.formats import _json
from workbench.formats._json import constant, dumps, put_all, put_array, put_rows, put_table


def written(put, *arguments):
    file = io.BytesIO()
    put(file, *arguments)
    return file.getvalue()


@given(st.recursive(st.none() | st.integers() | st.text(), lambda e: st.lists(e, max_size=3)))
def test_values_come_back(value):
    text = dumps(value)
    assert json.loads(text) == value
    assert b": " not in text or ": " in str(value)


def test_lone_surrogates_are_escaped():
    assert dumps("a\ud800é") == '"a\\ud800é"'.encode()
    assert json.loads(dumps("a\ud800")) == "a\ud800"


def test_what_json_cannot_hold_is_refused():
    with pytest.raises(ValueError, match="JSON"):
        dumps(float("nan"))


@given(st.lists(st.none() | st.integers(-(1 << 63), (1 << 63) - 1)), st.integers(1, 9))
def test_arrays(values, chunk):
    before, _json._CHUNK = _json._CHUNK, chunk
    try:
        text = written(put_array, pl.Series(values, dtype=pl.Int64))
    finally:
        _json._CHUNK = before
    assert json.loads(text) == values


def test_texts_in_arrays_are_json_already():
    assert written(put_array, pl.Series(["[1]", None, '"a"'])) == b'[[1],null,"a"]'


def test_tables_say_how_long_they_are():
    table = {"a": pl.Series([1, None]), "b": constant(None, 2), "c": constant("x", 2)}
    assert json.loads(written(put_table, table)) == {
        "a": [1, None], "b": [None, None], "c": ["x", "x"], "length": 2,
    }  # fmt: skip


def test_separators_go_on():
    file = io.BytesIO(b"")
    file.write(b"[")
    separator = put_all(file, [{"a": 1}, 2], b"")
    separator = put_rows(file, pl.DataFrame({"x": [1, None], "y": ["é", '"']}), separator)
    separator = put_rows(file, pl.DataFrame({"x": []}), separator)
    put_all(file, [3], separator)
    file.write(b"]")
    assert json.loads(file.getvalue()) == [
        {"a": 1}, 2, {"x": 1, "y": "é"}, {"x": None, "y": '"'}, 3,
    ]  # fmt: skip
