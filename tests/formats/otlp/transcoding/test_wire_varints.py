"""Varints read against those that protobuf writes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.formats.otlp import wire
from workbench.formats.otlp.transcoding.wire_varints import (
    Irregular,
    number_at,
    unpacked,
    varints_at,
)

PADDING = bytes(16)
U64 = st.integers(0, 2**64 - 1)


@given(st.lists(U64, max_size=20))
def test_varints(numbers):
    raw = [wire.varint(number) for number in numbers]
    at = np.cumsum([0, *map(len, raw)])
    data = np.frombuffer(b"".join(raw) + PADDING, np.uint8)
    found, after = varints_at(data, at[:-1])
    assert found.tolist() == numbers
    assert after.tolist() == at[1:].tolist()


@given(st.lists(st.lists(st.one_of(U64, st.integers(0, 200)), max_size=5), max_size=5))
def test_lists_of_varints(lists):
    raw = [b"".join(map(wire.varint, each)) for each in lists]
    ends = np.cumsum([0, *map(len, raw)])
    found, counts = unpacked(np.frombuffer(b"".join(raw), np.uint8), ends)
    assert found.tolist() == [number for each in lists for number in each]
    assert counts.tolist() == list(map(len, lists))


def test_a_varint_that_reaches_into_the_next_list():
    with pytest.raises(Irregular):
        unpacked(np.frombuffer(b"\x81\x01", np.uint8), np.array([0, 1, 2]))


@given(U64)
def test_one_number(number):
    raw = wire.varint(number)
    assert number_at(b"xx" + raw + b"x", 2) == (number, 2 + len(raw))


@pytest.mark.parametrize("raw", [b"\xff" * 9 + b"\x02", b"\xff" * 11])
def test_more_than_64_bits(raw):
    with pytest.raises(Irregular):
        number_at(raw, 0)
    with pytest.raises(Irregular):
        varints_at(np.frombuffer(raw + PADDING, np.uint8), np.array([0]))


def test_a_number_that_breaks_off():
    with pytest.raises(Irregular):
        number_at(b"\x80", 0)
