"""Arrays of bytes → strings, compared with plain decoding."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.byte_texts import byte_texts


@settings(deadline=None)
@given(st.lists(st.binary(max_size=12), min_size=1), st.sampled_from([1, 4, 12]))
def test_any_bytes(values, size):
    cut = [value[:size].ljust(size, b"\0") for value in values]
    raw = np.frombuffer(b"".join(cut), np.uint8).reshape(-1, size)
    plain = [value.split(b"\0")[0] for value in cut]
    wanted = [value.replace(b"\\", rb"\\").decode("utf-8", "backslashreplace") for value in plain]
    assert byte_texts(raw).to_pylist() == wanted
    assert len(set(wanted)) == len(set(plain))
    assert byte_texts(np.repeat(raw, 2, axis=0)[::2]).to_pylist() == wanted


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"/a\0b", "/a"),
        ("/ü".encode(), "/ü"),
        (b"\xff/", r"\xff/"),
        (rb"\xff", r"\\xff"),
        (b"\0a", ""),
    ],
)
def test_texts(raw, text):
    rows = np.frombuffer(raw.ljust(8, b"\0"), np.uint8).reshape(1, 8)
    assert byte_texts(rows).to_pylist() == [text]


def test_none():
    assert byte_texts(np.zeros((0, 8), np.uint8)).to_pylist() == []
