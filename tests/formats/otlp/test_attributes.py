"""Attributes of columns, read with the generated classes."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from otlp_sessions import attributes as read

from workbench.formats.otlp import attributes as of

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
I64 = st.integers(-(2**63), 2**63 - 1)


def rows(column):
    return [None if raw is None else read(Resource.FromString(raw)) for raw in column.to_pylist()]


@given(st.lists(st.one_of(st.none(), TEXT)), st.booleans())
def test_texts(texts, dictionary):
    column = pa.array(texts, pa.string())
    found = of.texts(1, "key", column.dictionary_encode() if dictionary else column)
    assert rows(found) == [{"key": text} if text else None for text in texts]


@given(st.lists(st.one_of(st.none(), I64)))
def test_numbers(numbers):
    found = of.numbers(1, "key", pa.array(numbers, pa.int64()))
    assert rows(found) == [None if n is None else {"key": n} for n in numbers]


@given(st.lists(I64))
def test_counts(numbers):
    assert rows(of.counts(1, "key", np.array(numbers, np.int64))) == [{"key": n} for n in numbers]


@given(st.lists(st.floats(allow_nan=False)))
def test_doubles(numbers):
    assert rows(of.doubles(1, "key", numbers)) == [{"key": n} for n in numbers]


def test_unsigned_numbers_beyond_63_bits_wrap_as_protobuf_has_them():
    assert rows(of.counts(1, "k", np.array([2**64 - 1], np.uint64))) == [{"k": -1}]


def test_constants():
    given_ = {"a": "x", "b": 3, "c": -1.5, "d": True, "e": ("p", "q")}
    assert read(Resource.FromString(of.key_values(1, given_))) == given_ | {"e": ["p", "q"]}


def test_long_texts_are_cut():
    (found,) = rows(of.texts(1, "k", pa.array(["ü" * 5000])))
    assert found == {"k": "ü" * of.MAX_TEXT}


@pytest.mark.parametrize("dictionary", [False, True])
def test_what_is_made_of_columns(dictionary):
    column = pa.array(["/a?x=1?y", "/b", "/c?", "", None, "/n\n?q"])
    column = column.dictionary_encode() if dictionary else column
    path, query = of.split_texts(column, "?")
    assert path.to_pylist() == ["/a", "/b", "/c", "", None, "/n\n"]
    assert query.to_pylist() == ["x=1?y", None, "", None, None, "q"]
    assert of.prefixed("> ", column).to_pylist()[:2] == ["> /a?x=1?y", "> /b"]
    assert of.known_address(pa.array(["::", "0.0.0.0", "1.2.3.4", ""])).to_pylist() == [
        None,
        None,
        "1.2.3.4",
        None,
    ]
    assert of.nonzero(pa.array([0, 5], pa.uint16())).to_pylist() == [None, 5]
    assert rows(of.flags(1, "f", np.array([True, False]))) == [{"f": True}, None]
    assert of.split_texts(pa.array([], pa.string()), "?")[0].to_pylist() == []
