"""The walk over many messages at once finds what the protobuf library finds."""

from __future__ import annotations

import itertools

import numpy as np
import profile_pb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import ImportFormatError
from workbench.formats.otlp.wire import varint
from workbench.formats.pprof import decode
from workbench.formats.pprof.decode import fields, unpacked

INTS = st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(0, 300)
ROWS = st.lists(st.tuples(st.lists(INTS, max_size=6), INTS, st.text(max_size=5)), max_size=8)


def walked(messages):
    data = np.frombuffer(b"".join(messages), np.uint8)
    ends = np.cumsum([len(one) for one in messages]).astype(np.int64)
    return fields(data, ends - np.array([len(one) for one in messages], np.int64), ends)


@pytest.mark.parametrize("few", [0, 3, 64])
@given(rows=ROWS)
def test_fields(few, rows):
    before, decode._FEW = decode._FEW, few
    try:
        found = walked(
            [
                profile_pb.Profile(comment=c, time_nanos=n, string_table=[t]).SerializeToString()
                for c, n, t in rows
            ]
        )
    finally:
        decode._FEW = before
    assert found.last(9).view(np.int64).tolist() == [n for _, n, _ in rows]
    owner, starts, ends = found.spans(6)
    texts = [found.data[a:b].tobytes().decode() for a, b in zip(starts, ends, strict=True)]
    assert owner.tolist() == list(range(len(rows)))
    assert texts == [t for _, _, t in rows]
    values, offsets = found.repeated(13)
    lists = [values[a:b].view(np.int64).tolist() for a, b in itertools.pairwise(offsets)]
    assert lists == [c for c, _, _ in rows]


def test_lists_may_be_packed_or_not_or_both():
    # field 2: 5; packed 6, 300; 7. Then nothing. Then packed nothing, and 1.
    found = walked([b"\x10\x05\x12\x03\x06\xac\x02\x10\x07", b"", b"\x12\x00\x10\x01"])
    values, offsets = found.repeated(2)
    assert values.tolist() == [5, 6, 300, 7, 1]
    assert offsets.tolist() == [0, 4, 4, 5]


def test_the_last_number_counts_and_unknown_fields_are_passed_over():
    found = walked([b"\x08\x01\x2d1234\x08\x02\x3112345678\xfa\x01\x01x"])
    assert found.last(1).tolist() == [2]
    assert found.last(4, 9).tolist() == [9]


def test_parts_of_packed_lists_are_read_one_by_one(monkeypatch):
    monkeypatch.setattr(decode, "_AT_ONCE", 3)
    data = np.frombuffer(b"\x01\x02\xac\x02\x05\x06\x07\x08", np.uint8)
    values, offsets = unpacked(data, np.array([0, 2, 4, 4]), np.array([2, 4, 4, 8]))
    assert values.tolist() == [1, 2, 300, 5, 6, 7, 8]
    assert offsets.tolist() == [0, 2, 3, 3, 7]


@pytest.mark.parametrize("at_once", [1, 2, 3, 7, 64])
@given(numbers=st.lists(st.lists(st.integers(0, (1 << 64) - 1) | st.integers(0, 200))))
def test_long_lists_are_read_piece_by_piece(at_once, numbers):
    packed = [b"".join(map(varint, each)) for each in numbers]
    ends = np.cumsum([len(each) for each in packed], dtype=np.int64)
    starts = np.concatenate([[0], ends])[:-1].astype(np.int64)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(decode, "_AT_ONCE", at_once)
        values, offsets = unpacked(np.frombuffer(b"".join(packed), np.uint8), starts, ends)
    assert values.tolist() == [number for each in numbers for number in each]
    assert np.diff(offsets).tolist() == [len(each) for each in numbers]


def test_damage_in_long_lists(monkeypatch):
    monkeypatch.setattr(decode, "_AT_ONCE", 4)
    for content, why in (
        (b"\1" * 6 + b"\xff" * 20, "10 bytes"),
        (b"\1" * 9 + b"\x80", "breaks off"),
    ):
        with pytest.raises(ImportFormatError, match=why):
            unpacked(np.frombuffer(content, np.uint8), np.array([0]), np.array([len(content)]))
    monkeypatch.setattr(decode, "MAX_NUMBERS", 5)
    data = np.frombuffer(b"\1" * 6, np.uint8)
    assert len(unpacked(data, np.array([0]), np.array([5]))[0]) == 5
    with pytest.raises(ImportFormatError, match="more than 5 numbers"):
        unpacked(data, np.array([0]), np.array([6]))


DAMAGED = {
    "key": (b"\x80", "breaks off"),
    "number": (b"\x08\x80", "breaks off"),
    "no number": (b"\x08", "breaks off"),
    "long number": (b"\x08" + b"\x80" * 10 + b"\x01", "longer than 10 bytes"),
    "long key": (b"\x80" * 10 + b"\x01", "longer than 10 bytes"),
    "length": (b"\x0a\x05abc", "longer than what holds it"),
    "huge length": (b"\x0a" + b"\xff" * 9 + b"\x01", "longer than what holds it"),
    "fixed": (b"\x09abc", "longer than what holds it"),
    "group": (b"\x0b", "unknown type"),
    "type 6": (b"\x0e\x01", "unknown type"),
}


@pytest.mark.parametrize("few", [0, 64])
@pytest.mark.parametrize("name", DAMAGED)
def test_damage(name, few, monkeypatch):
    monkeypatch.setattr(decode, "_FEW", few)
    content, said = DAMAGED[name]
    with pytest.raises(ImportFormatError, match=said):
        walked([b"\x08\x01", content])


@pytest.mark.parametrize("content", [b"\x80", b"\x01\xff", b"\xff" * 11 + b"\x00"])
def test_damaged_lists(content):
    data = np.frombuffer(content, np.uint8)
    with pytest.raises(ImportFormatError):
        unpacked(data, np.array([0]), np.array([len(data)]))


def test_wrong_types_and_too_much(monkeypatch):
    with pytest.raises(ImportFormatError, match="unexpected type"):
        walked([b"\x0a\x00"]).last(1)
    with pytest.raises(ImportFormatError, match="unexpected type"):
        walked([b"\x08\x00"]).spans(1)
    with pytest.raises(ImportFormatError, match="unexpected type"):
        walked([b"\x0d1234"]).repeated(1)
    monkeypatch.setattr(decode, "MAX_FIELDS", 5)
    for few in (0, 64):
        monkeypatch.setattr(decode, "_FEW", few)
        with pytest.raises(ImportFormatError, match="more than 5 parts"):
            walked([b"\x08\x01" * 6])
