"""Numbers and pointers, against their definitions."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import ObjectFormatError
from workbench.unwind.encodings import MAX_LEB, pointer, sleb, uleb


def encoded(value, signed):
    """DWARF 5, appendix C: how LEB128 is written."""
    out = bytearray()
    while True:
        byte, value = value & 0x7F, value >> 7
        sign = -(byte >> 6 & 1) if signed else 0
        if value == sign:
            return bytes([*out, byte])
        out.append(byte | 0x80)


@given(st.integers(0, 2**64 - 1), st.binary(max_size=3), st.binary(max_size=3))
def test_unsigned(value, before, after):
    code = encoded(value, signed=False)
    assert uleb(before + code + after, len(before)) == (value, len(before + code))


@given(st.integers(-(2**63), 2**63 - 1))
def test_signed(value):
    code = encoded(value, signed=True)
    assert sleb(code, 0) == (value, len(code))


def test_padded():
    assert uleb(b"\x85\x80\x80\x00", 0) == (5, 4)
    assert sleb(b"\xfe\xff\x7f", 0) == (-2, 3)


@pytest.mark.parametrize("data", [b"", b"\x80", b"\xff" * MAX_LEB + b"\0"])
def test_no_end(data):
    with pytest.raises(ObjectFormatError, match="does not end"):
        uleb(data, 0)


@pytest.mark.parametrize(
    ("encoding", "layout", "value", "result"),
    [
        (0x00, "<Q", 7, 7),
        (0x02, "<H", 7, 7),
        (0x03, "<I", 7, 7),
        (0x04, "<Q", 7, 7),
        (0x0A, "<h", -7, 2**64 - 7),
        (0x0B, "<i", -7, 2**64 - 7),
        (0x0C, "<q", -7, 2**64 - 7),
        (0x1B, "<i", -16, 0x1000 + 8 - 16),  # relative to the pointer itself
        (0x3B, "<i", 16, 0x5000 + 16),  # relative to data
        (0x9B, "<i", 16, 0x1000 + 8 + 16),  # indirect: the address that is read is not followed
        (0x50, "<Q", 7, 7),
    ],
)
def test_pointers(encoding, layout, value, result):
    data = bytes(8) + struct.pack(layout, value)
    assert pointer(data, 8, encoding, 0x1000, 0x5000) == (result, len(data))


def test_pointers_as_leb():
    assert pointer(b"\x81\x01", 0, 0x01, 0) == (129, 2)
    assert pointer(b"\x7f", 0, 0x19, 0x100) == (0xFF, 1)


def test_aligned():
    """The address is aligned, not the position in the section."""
    data = b"\xcc" * 5 + struct.pack("<Q", 9)
    assert pointer(data, 1, 0x50, 0x1003) == (9, 13)


@pytest.mark.parametrize(
    ("data", "encoding"), [(b"abc", 0x03), (bytes(8), 0x05), (bytes(8), 0x2B), (bytes(8), 0x3B)]
)
def test_what_makes_no_sense(data, encoding):
    with pytest.raises(ObjectFormatError):
        pointer(data, 0, encoding, 0)
