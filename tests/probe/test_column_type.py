"""Bytes of C types to Arrow and back."""

import ctypes

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import MapError
from workbench.probe.column_type import (
    Array,
    Bits,
    ColumnNames,
    Member,
    Opaque,
    Scalar,
    Struct,
    Text,
    table_columns,
)

SLOW = settings(deadline=None)  # the machine may be busy
U32, S16, BOOL = (Scalar(np.dtype(name)) for name in ("<u4", "<i2", "?"))


def rows(*data):
    return np.frombuffer(b"".join(data), np.uint8).reshape(len(data), -1)


def there_and_back(kind, value):
    return kind.array(rows(kind.pack(value))).to_pylist()[0]


@SLOW
@given(st.integers(0, (1 << 32) - 1), st.integers(-(1 << 15), (1 << 15) - 1), st.booleans())
def test_numbers(number, small, truth):
    assert there_and_back(U32, number) == number
    assert there_and_back(S16, small) == small
    assert there_and_back(BOOL, truth) is truth
    assert U32.pack(number) == bytes(ctypes.c_uint32(number))
    assert S16.pack(small) == bytes(ctypes.c_int16(small))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (U32, -1),
        (U32, 1 << 32),
        (U32, 1.5),
        (U32, "1"),
        (S16, 1 << 15),
        (BOOL, 2),
        (Text(4), "12345"),
        (Text(4), 7),
        (Opaque(4), b"123"),
        (Opaque(1), 256),
        (Array(U32, 2), [1]),
        (Array(U32, 2), "ab"),
        (Array(U32, 2), 3),
        (Array(U32, 1), [-1]),
        (Bits(0, 3, False), 8),
        (Bits(0, 3, True), 4),
        (Bits(0, 3, False), "1"),
    ],
)
def test_values_that_do_not_fit(kind, value):
    with pytest.raises(MapError):
        kind.pack(value)


@SLOW
@given(st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=16))
def test_texts(text):
    kind = Text(16)
    if len(text.encode()) > 16:
        with pytest.raises(MapError):
            kind.pack(text)
    else:
        assert there_and_back(kind, text) == text


def test_texts_of_all_lengths_and_none():
    kind = Text(4)
    data = rows(b"\0\0\0\0", b"a\0b\0", b"abcd", b"\xff\0\0\0")
    assert kind.array(data).to_pylist() == ["", "a", "abcd", "�"]
    assert kind.array(data[:0]).to_pylist() == []


@SLOW
@given(st.integers(0, 15), st.integers(1, 64), st.booleans(), st.data())
def test_bit_fields(shift, width, signed, data):
    low = -(1 << (width - 1)) if signed else 0
    value = data.draw(st.integers(low, low + (1 << width) - 1))
    field = Bits(shift, width, signed)
    assert there_and_back(field, value) == value
    packed = int.from_bytes(field.pack(value), "little")
    assert packed == (value & ((1 << width) - 1)) << shift  # C's bits, and no others


class Pair(ctypes.Structure):
    _fields_ = [("a", ctypes.c_uint8), ("b", ctypes.c_uint32 * 2), ("c", ctypes.c_int16)]


PAIR = Struct(
    "pair",
    ctypes.sizeof(Pair),
    (
        Member("a", Pair.a.offset, Scalar(np.dtype("u1"))),
        Member("b", Pair.b.offset, Array(U32, 2)),
        Member("c", Pair.c.offset, S16),
    ),
)


@SLOW
@given(st.integers(0, 255), st.lists(st.integers(0, 2**32 - 1), min_size=2, max_size=2))
def test_structs_are_those_of_c(a, b):
    made = Pair(a, (ctypes.c_uint32 * 2)(*b), -3)
    value = {"a": a, "b": b, "c": -3}
    assert PAIR.pack(value) == bytes(made)
    assert PAIR.pack((a, b, -3)) == bytes(made)
    assert there_and_back(PAIR, value) == value
    columns = table_columns(PAIR, "key", rows(bytes(made), bytes(made)))
    assert {name: column.to_pylist() for name, column in columns.items()} == {
        "a": [a, a],
        "b": [b, b],
        "c": [-3, -3],
    }


def test_what_is_left_out_is_zero_and_what_is_unknown_an_error():
    assert PAIR.pack({"c": 1}) == bytes(Pair(0, (ctypes.c_uint32 * 2)(), 1))
    with pytest.raises(MapError, match="no member 'd'") as caught:
        PAIR.pack({"d": 1})
    assert "a, b, c" in caught.value.why
    with pytest.raises(MapError, match="does not name"):
        PAIR.pack((1, 2))
    with pytest.raises(MapError, match="does not name"):
        PAIR.pack(5)


def test_members_of_unions_see_the_same_bytes():
    union = Struct("", 4, (Member("v4", 0, U32), Member("low", 0, S16)), union=True)
    assert there_and_back(union, {"v4": 0x1FFFF}) == {"v4": 0x1FFFF, "low": -1}


def test_numbers_of_128_bits_are_bytes():
    kind = Opaque(16)
    assert there_and_back(kind, 1 << 100) == (1 << 100).to_bytes(16, "little")
    assert there_and_back(kind, b"x" * 16) == b"x" * 16


def test_structs_without_members():
    empty = Struct("nothing", 0, ())
    assert len(empty.array(np.empty((3, 0), np.uint8))) == 3
    assert table_columns(U32, "key", rows(b"\1\0\0\0"))["key"].to_pylist() == [1]


def test_names_of_columns_are_unique():
    def struct(*names: str) -> Struct:
        members = (Member(name, 4 * i, U32) for i, name in enumerate(names))
        return Struct("s", 4 * len(names), tuple(members))

    def names(key, value, per_cpu):
        found = ColumnNames.of(key, value, per_cpu=per_cpu)
        return [*found.key, found.cpu, *found.value]

    assert names(U32, U32, per_cpu=False) == ["key", "", "value"]
    assert names(U32, struct("key", "cpu"), per_cpu=True) == [
        "key",
        "cpu",
        "value_key",
        "value_cpu",
    ]
    key = struct("cpu", "of_cpu", "x")
    assert names(key, struct("x", "value_x", "cpu"), per_cpu=True) == [
        "cpu", "of_cpu", "x", "of_of_cpu", "value_x", "value_value_x", "value_cpu"
    ]  # fmt: skip
    assert names(struct("value"), U32, per_cpu=False) == ["value", "", "value_value"]
