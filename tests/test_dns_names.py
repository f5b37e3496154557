"""Names in the format of the wire → texts, compared with a plain decoder."""

import numpy as np
import pytest
from dns_messages import wire
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.dns_names import name_texts

SIZE = 256


def rows(*names, size=SIZE):
    return np.frombuffer(b"".join(n[:size].ljust(size, b"\0") for n in names), np.uint8).reshape(
        -1, size
    )


def plain(name):
    """What RFC 1035 and RFC 4343 say, byte by byte."""
    parts, at = [], 0
    while at < len(name) and 0 < name[at] <= 63:
        label = name[at + 1 : at + 1 + name[at]]
        parts.append("".join(
            f"\\{c:c}" if c in b".\\" else f"{c:c}" if 0x20 < c < 0x7F else f"\\{c:03d}"
            for c in label
        ))  # fmt: skip
        at += 1 + name[at]
    return ".".join(parts) or "."


NAMES = ["www.example.org", "a", "", "x" * 63 + "." + "y" * 63, "Mixed.CASE.org"]


def test_names():
    found = name_texts(rows(*map(wire, NAMES))).to_pylist()
    assert found == [name or "." for name in NAMES]
    assert name_texts(rows(*map(wire, NAMES * 3))[::3]).to_pylist() == (found * 3)[::3]
    assert name_texts(np.zeros((0, SIZE), np.uint8)).to_pylist() == []


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"\x03a.b\0", r"a\.b"),
        (b"\x02a\0\x01b\0", r"a\000.b"),
        (b"\x03\\ \xff\0", r"\\\032\255"),
        (b"\xc0\x0c", "."),
        (b"\x01a\xc0\x0c", "a"),
        (b"\x40" + b"a" * 64, "."),
        (b"\x01?\0", "?"),
    ],
)
def test_odd_names(raw, text):
    assert name_texts(rows(raw, wire("plain.org"), raw)).to_pylist() == [text, "plain.org", text]


@settings(deadline=None)
@given(st.lists(st.binary(max_size=300), min_size=1, max_size=20), st.sampled_from([2, 16, 256]))
def test_any_bytes(names, size):
    cut = [name[:size].ljust(size, b"\0") for name in names]
    assert name_texts(rows(*names, size=size)).to_pylist() == [plain(name) for name in cut]


@settings(deadline=None)
@given(st.lists(st.lists(st.binary(min_size=1, max_size=63), max_size=3), min_size=1))
def test_any_labels(names):
    made = [b"".join(bytes([len(label)]) + label for label in name) + b"\0" for name in names]
    assert name_texts(rows(*made)).to_pylist() == [plain(name) for name in made]
