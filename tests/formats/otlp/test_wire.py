"""Columns of wire format against protobuf's own writer and reader."""

import numpy as np
import pyarrow as pa
from google.protobuf.internal import encoder
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans

from workbench.formats.otlp import wire

U64 = st.integers(0, 2**64 - 1)
I64 = st.integers(-(2**63), 2**63 - 1)


@given(U64)
def test_a_varint_is_protobufs(number):
    pieces = []
    encoder._EncodeVarint(pieces.append, number)
    assert wire.varint(number) == b"".join(pieces)


@given(st.lists(U64))
def test_varints_of_a_column(numbers):
    found = wire.varints(np.array(numbers, np.uint64))
    assert found.to_pylist() == [wire.varint(number) for number in numbers]
    assert wire.varint_lengths(np.array(numbers, np.uint64)).tolist() == [
        len(wire.varint(number)) for number in numbers
    ]


@given(st.lists(I64, min_size=1))
def test_negative_numbers_are_64_bits(numbers):
    for number, raw in zip(numbers, wire.varints(np.array(numbers)).to_pylist(), strict=True):
        assert AnyValue.FromString(wire.tag(3, wire.VARINT) + raw).int_value == number


@given(st.lists(I64))
def test_zigzag(numbers):
    expected = [(n << 1) ^ (n >> 63) for n in numbers]
    assert wire.zigzag(np.array(numbers, np.int64)).tolist() == expected


@given(st.lists(st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"])))))
def test_texts_and_nulls(texts):
    column = pa.array(texts, pa.string()).cast(pa.binary())
    found = wire.message(2, wire.optional(3, column), wire.integer(10, 7))
    spans = ScopeSpans.FromString(b"".join(found.to_pylist())).spans
    assert [span.trace_state for span in spans] == [text or "" for text in texts]
    assert all(span.dropped_attributes_count == 7 for span in spans)
    assert wire.optional(3, column).null_count == texts.count(None)


def test_long_messages_have_long_lengths():
    for size in (127, 128, 16383, 16384, 1 << 21):
        (found,) = wire.message(1, pa.array([b"x" * size])).to_pylist()
        assert found == wire.field(1, b"x" * size)
        assert KeyValue.FromString(found).key == "x" * size


def test_lists_and_blocks():
    items = pa.array([b"a", b"bc", b"", b"d"])
    assert wire.lists(np.array([2, 0, 1, 1]), items).to_pylist() == [b"abc", b"", b"", b"d"]
    rows = np.array([(1, 2), (3, 4)], [("a", "u1"), ("b", "<u2")])
    assert wire.block(rows).to_pylist() == [b"\x01\x02\x00", b"\x03\x04\x00"]
    assert wire.block(np.zeros((0, 3), np.uint8)).to_pylist() == []
    sliced = pa.array([b"xx", b"abc", b"d", b"yy"])[1:3]
    offsets, data = wire.buffers(sliced)
    assert data[offsets[0] : offsets[-1]].tobytes() == b"abcd"
    assert wire.lists(np.array([1, 1]), sliced).to_pylist() == [b"abc", b"d"]


def test_present_and_join():
    column = pa.array([b"a", b"b"])
    assert wire.present(column, np.array([True, False])).to_pylist() == [b"a", None]
    assert wire.join(b"<", wire.present(column, np.array([False, True])), b">").to_pylist() == [
        b"<>",
        b"<b>",
    ]
    assert wire.lengths(pa.array([b"abc", None])).tolist() == [3, 0]


def test_scalar_fields():
    assert KeyValue.FromString(wire.field(1, "ü")).key == "ü"
    assert AnyValue.FromString(wire.integer(3, -1)).int_value == -1
    assert wire.fixed64(1, -1) == b"\x09" + b"\xff" * 8
