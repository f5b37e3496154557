"""Columns as bytes: the same as one value at a time, and what does not fit is refused."""

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import MapError
from workbench.probe.column_type import Array, Bits, Member, Opaque, Scalar, Struct, Text
from workbench.probe.column_write import entries_of, rows_of

U8, U32, S64 = (Scalar(np.dtype(name)) for name in ("u1", "<u4", "<i8"))
BOOL, F32 = Scalar(np.dtype("?")), Scalar(np.dtype("<f4"))
TEXT = Text(5)
BOTH = Struct("both", 8, (Member("small", 0, U32), Member("all", 0, S64)), union=True)
WHOLE = Struct(
    "whole",
    32,
    (
        Member("a", 0, U8),
        Member("low", 1, Bits(0, 3, False)),
        Member("high", 1, Bits(3, 9, True)),
        Member("name", 3, TEXT),
        Member("list", 8, Array(U32, 2)),
        Member("u", 16, BOTH),
        Member("odd", 24, Opaque(3)),
        Member("ok", 27, BOOL),
        Member("f", 28, F32),
    ),
)
VALUES = st.fixed_dictionaries(
    {
        "a": st.integers(0, 255),
        "low": st.integers(0, 7),
        "high": st.integers(-256, 255),
        "name": st.text(st.characters(min_codepoint=1, max_codepoint=126), max_size=5),
        "list": st.lists(st.integers(0, 2**32 - 1), min_size=2, max_size=2),
        "u": st.integers(-(2**63), 2**63 - 1).map(lambda n: {"small": n & (2**32 - 1), "all": n}),
        "odd": st.binary(min_size=3, max_size=3),
        "ok": st.booleans(),
        "f": st.floats(width=32, allow_nan=False),
    }
)


@given(st.lists(VALUES, max_size=8))
def test_it_is_the_reverse_of_reading(values):
    packed = b"".join(WHOLE.pack(value) for value in values)
    data = np.frombuffer(packed, np.uint8).reshape(len(values), WHOLE.size)
    array = WHOLE.array(data)
    assert np.array_equal(rows_of(WHOLE, array), data)
    if len(values) > 1:
        assert np.array_equal(rows_of(WHOLE, array.slice(1)), data[1:])


@pytest.mark.parametrize("width", [1, 7, 33, 63, 64])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("shift", [0, 5])
def test_bits_of_all_widths(width, signed, shift):
    kind = Bits(shift, width, signed)
    low = -(1 << (width - 1)) if signed else 0
    values = sorted({low, low + (1 << width) - 1, 0 if signed else 1, -1 if signed else 0})
    array = pa.array(values, pa.int64() if signed else pa.uint64())
    assert rows_of(kind, array).tobytes() == b"".join(kind.pack(v) for v in values)


@pytest.mark.parametrize(
    ("kind", "array"),
    [
        (U8, pa.array([256])),
        (U8, pa.array([-1])),
        (U32, pa.array([1.5])),
        (U32, pa.array(["5"])),
        (U32, pa.array([1, None])),
        (BOOL, pa.array([2])),
        (S64, pa.array([2**63], pa.uint64())),
        (Bits(0, 3, False), pa.array([8])),
        (Bits(2, 3, True), pa.array([-5])),
        (Bits(0, 3, False), pa.array([1.0])),
        (TEXT, pa.array(["abcdef"])),
        (TEXT, pa.array([5])),
        (Array(U32, 2), pa.array([[1, 2], [3]])),
        (Array(U32, 2), pa.array([[1, 2, 3]], pa.list_(pa.int64(), 3))),
        (Array(U32, 2), pa.array([[1, None]])),
        (Opaque(3), pa.array([b"ab"])),
        (BOTH, pa.array([{"small": 1}])),
        (BOTH, pa.array([{"small": 1, "all": 1, "more": 2}])),
    ],
)
def test_what_does_not_fit(kind, array):
    with pytest.raises(MapError):
        rows_of(kind, array)


def test_what_arrow_can_turn_into_it():
    assert (
        rows_of(TEXT, pa.array(["a", "b"]).dictionary_encode()).tobytes() == b"a\0\0\0\0b\0\0\0\0"
    )
    assert rows_of(S64, pa.array([5], pa.duration("ns"))).tobytes() == S64.pack(5)
    assert rows_of(U32, pa.array([7.0])).tobytes() == U32.pack(7)
    views = pa.table(pl.DataFrame({"t": ["abc", "", "äß"]})).column("t").combine_chunks()
    assert rows_of(TEXT, views).tobytes() == b"".join(map(TEXT.pack, ["abc", "", "äß"]))
    assert rows_of(Array(U32, 2), pa.array([[1, 2]])).tobytes() == U32.pack(1) + U32.pack(2)


PAIR = Struct("pair", 8, (Member("x", 0, U32), Member("cpu", 4, U32)))


def test_columns_of_a_map():
    keys, values = entries_of(pa.table({"key": [1, 2], "x": [3, 4], "cpu": [5, 6]}), U32, PAIR, 0)
    assert keys.view("<u4").tolist() == [[1], [2]]
    assert values.view("<u4").tolist() == [[3, 5], [4, 6]]
    named = pa.table({"x": [1], "cpu": [2], "value_x": [3], "value_cpu": [4]})
    keys, values = entries_of(named, PAIR, PAIR, 0)
    assert keys.view("<u4").tolist() == [[1, 2]]
    assert values.view("<u4").tolist() == [[3, 4]]
    for columns in ({"key": [1]}, {"key": [1], "value": [2], "more": [3]}, {"value": [2]}):
        with pytest.raises(MapError, match="column"):
            entries_of(pa.table(columns), U32, U32, 0)


def test_values_of_each_cpu():
    rows = {"key": [7, 8, 8, 7], "cpu": [1, 0, 1, 0], "value": [71, 80, 81, 70]}
    keys, values = entries_of(pa.table(rows), U32, U32, 2)
    assert dict(zip(keys.view("<u4")[:, 0].tolist(), values.view("<u8").tolist(), strict=True)) == {
        7: [70, 71],
        8: [80, 81],
    }
    keys, values = entries_of(pa.table({"key": [7], "value": [5]}), U32, U32, 2)
    assert values.view("<u8").tolist() == [[5, 5]]
    for cpus in ([0, 1, 1, 0], [0, 1, 2, 1], [0, 1, 1, 1]):
        with pytest.raises(MapError, match="each of the 2 CPUs"):
            entries_of(pa.table(rows | {"cpu": cpus}), U32, U32, 2)
    keys, _ = entries_of(pa.table({n: [] for n in rows}).cast(
        pa.schema([(n, pa.int64()) for n in rows])), U32, U32, 2)  # fmt: skip
    assert keys.shape == (0, 4)


def test_a_key_keeps_its_member_cpu():
    whose = {"x": [7, 7], "cpu": [3, 3], "of_cpu": [1, 0]}  # two CPUs' values of one key
    table = pa.table({**whose, "value_x": [71, 70], "value_cpu": [1, 0]})
    keys, values = entries_of(table, PAIR, PAIR, 2)
    assert keys.view("<u4").tolist() == [[7, 3]]
    assert values.view("<u4").tolist() == [[70, 0, 71, 1]]
    keys, values = entries_of(pa.table({"x": [7], "cpu": [3], "value": [5]}), PAIR, U32, 2)
    assert (keys.view("<u4").tolist(), values.view("<u8").tolist()) == ([[7, 3]], [[5, 5]])
    with pytest.raises(MapError, match="each of the 2 CPUs") as caught:
        entries_of(table.slice(1), PAIR, PAIR, 2)
    assert "of_cpu" in str(caught.value)
