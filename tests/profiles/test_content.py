"""Bytes of imported files: plain and gzip, bounded, and damaged ones."""

from __future__ import annotations

import gzip
import io
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import ImportFormatError
from workbench.profiles import content

TEXT = b"".join(b"line %d\n" % number for number in range(50_000))


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_whole_and_head(pack):
    file = io.BytesIO(pack(TEXT))
    file.seek(3)
    assert content.head(file, 100)[:14] == b"line 0\nline 1\n"
    assert file.tell() == 0
    assert content.whole(file) == TEXT
    assert list(content.lines(file)) == TEXT.splitlines()


def test_several_members_and_padding():
    packed = gzip.compress(b"one\n") + gzip.compress(TEXT) + bytes(1000)
    assert content.whole(io.BytesIO(packed)) == b"one\n" + TEXT


@given(st.lists(st.binary(max_size=300), max_size=4), st.booleans())
def test_members_are_joined(parts, padded):
    packed = b"".join(map(gzip.compress, parts)) + bytes(7 if padded and parts else 0)
    assert content.whole(io.BytesIO(packed)) == b"".join(parts)


@pytest.mark.parametrize("cut", [11, 100, 5000, -1])
def test_a_file_that_breaks_off(cut):
    file = io.BytesIO(gzip.compress(TEXT)[:cut])
    with pytest.raises(ImportFormatError, match="breaks off"):
        content.whole(file)
    assert TEXT.startswith(content.head(file))


def test_damage():
    packed = bytearray(gzip.compress(TEXT))
    packed[len(packed) // 2] ^= 0xFF
    with pytest.raises(ImportFormatError, match=r"damaged|breaks off"):
        content.whole(io.BytesIO(packed))
    with pytest.raises(ImportFormatError, match="damaged"):
        content.whole(io.BytesIO(gzip.compress(TEXT) + b"more"))
    assert content.head(io.BytesIO(b"\x1f\x8b rubbish")) == b""


def test_bombs_are_not_unpacked(monkeypatch):
    bomb = zlib.compressobj(9, wbits=31)
    packed = b"".join(bomb.compress(bytes(1 << 20)) for _ in range(64)) + bomb.flush()
    seen = 0
    with pytest.raises(ImportFormatError, match=r"more than 1,000,000 bytes when"):
        for block in content.blocks(io.BytesIO(packed), 1_000_000):
            seen += len(block)
    assert seen <= 1_000_000
    assert len(content.head(io.BytesIO(packed))) == content.HEAD
    with pytest.raises(ImportFormatError, match="line that is too long"):
        list(content.lines(io.BytesIO(packed)))
    with pytest.raises(ImportFormatError, match="more than 10 bytes"):
        content.whole(io.BytesIO(TEXT), 10)


def test_lines_have_no_ends():
    assert list(content.lines(io.BytesIO(b"a\r\n\r\nb"))) == [b"a", b"", b"b"]
    assert list(content.lines(io.BytesIO(b""))) == []


def test_what_holds_nothing_is_bounded_too(monkeypatch):
    empty = gzip.compress(b"")
    assert content.whole(io.BytesIO(empty * 100 + gzip.compress(b"a"))) == b"a"
    padded = gzip.compress(b"a") + bytes(1 << 20)
    assert content.whole(io.BytesIO(padded)) == b"a"
    with pytest.raises(ImportFormatError, match="has more than"):
        content.whole(io.BytesIO(padded), 1000)
    monkeypatch.setattr(content, "MAX_MEMBERS", 99)
    with pytest.raises(ImportFormatError, match="99 gzip members"):
        content.whole(io.BytesIO(empty * 100))


def test_a_small_file_cut_at_every_place():
    packed = gzip.compress(b"main;work 1\n" * 20)
    for cut in range(2, len(packed)):
        with pytest.raises(ImportFormatError, match=r"breaks off|damaged"):
            content.whole(io.BytesIO(packed[:cut]))
