"""Messages in JSON as columns: what protobuf's mapping and OTLP allow."""

from __future__ import annotations

import math

import pytest

from workbench.errors import ImportFormatError
from workbench.formats.otlp.reading import profile_schema as of
from workbench.formats.otlp.reading.json_messages import JsonMessages


def test_numbers():
    rows = [{"values": ["1", 2, -3.0]}, {}, {"values": None}, {"values": [str(2**64 - 1)]}]
    flat, offsets = JsonMessages(rows).number_lists(of.Sample.VALUES)
    assert flat.tolist() == [1, 2, -3, -1]  # what is unsigned wraps
    assert offsets.tolist() == [0, 3, 3, 3, 4]
    found = JsonMessages([{"stackIndex": 5}, {"stackIndex": None}, {"stackIndex": "7"}, {}])
    assert found.numbers(of.Sample.STACK_INDEX).tolist() == [5, 0, 7, 0]
    assert found.times(of.Sample.STACK_INDEX).tolist() == [5, 0, 7, 0]


@pytest.mark.parametrize(
    "value",
    ["", "x", "1.5", 1.5, True, [], {}, math.nan, math.inf, "9" * 30, 2**64, -(2**63) - 1,
     "9" * 9999],
)  # fmt: skip
def test_no_numbers(value):
    with pytest.raises(ImportFormatError, match=r"stackIndex is (no|larger)"):
        JsonMessages([{"stackIndex": value}]).numbers(of.Sample.STACK_INDEX)


def test_children_and_texts():
    found = JsonMessages([{"samples": [{"a": 1}, {}]}, {"samples": {"b": 2}}, {}])
    samples, owner = found.children(of.Profile.SAMPLES)
    assert len(samples) == 3
    assert owner.tolist() == [0, 0, 1]
    texts, owner = JsonMessages([{"key": "ü"}, {}, {"key": "\ud800"}]).texts(of.KeyValue.KEY)
    assert (texts, owner.tolist()) == (["ü", "?"], [0, 2])


def test_values():
    def given(kind, *values):
        rows = [{"stringValue": each} for each in values]
        return JsonMessages(rows).given(of.AnyValue.STRING, kind)[0]

    assert given("int", "5", 6) == [5, 6]
    assert given("bool", True, False) == [True, False]
    assert given("double", 1, 1.5, "2.5", "-Infinity") == [1, 1.5, 2.5, -math.inf]
    assert math.isnan(given("double", "NaN")[0])
    assert given("bytes", "Af8=", "Af8", "-_8=") == ["01ff", "01ff", "fbff"]
    assert given("id", "01FF") == ["01ff"]
    for kind, value in [
        ("bool", "true"), ("double", "x"), ("double", {}), ("bytes", "a"), ("bytes", 5),
        ("id", "0"), ("id", 5), ("id", "zz"), ("double", 10**400),
    ]:  # fmt: skip
        with pytest.raises(ImportFormatError):
            given(kind, value)


def test_no_messages():
    for rows, read in [
        ([5], len),
        ([{"samples": [5]}], lambda m: m.children(of.Profile.SAMPLES)),
        ([{"samples": "x"}], lambda m: m.children(of.Profile.SAMPLES)),
        ([{"values": {}, "x": 1}, {"values": 5}], lambda m: m.number_lists(of.Sample.VALUES)),
        ([{"key": 5}], lambda m: m.texts(of.KeyValue.KEY)),
    ]:
        with pytest.raises(ImportFormatError):
            read(JsonMessages(rows))
