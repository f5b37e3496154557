"""Addresses in 16 bytes → texts, compared with the C library."""

import socket

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.addresses import address_texts


def packed(*texts):
    raw = b""
    for text in texts:
        six = ":" in text
        some = socket.inet_pton(socket.AF_INET6 if six else socket.AF_INET, text)
        raw += some if six else b"\0" * 10 + b"\xff\xff" + some
    return np.frombuffer(raw, np.uint8).reshape(-1, 16)


TEXTS = ["127.0.0.1", "::1", "::", "0.0.0.0", "2001:db8::ff:0:1", "255.255.255.255", "127.0.0.1"]


def test_both_families():
    assert address_texts(packed(*TEXTS)).to_pylist() == TEXTS
    assert address_texts(packed(*TEXTS)[::2]).to_pylist() == TEXTS[::2]


def test_none():
    assert address_texts(np.zeros((0, 16), np.uint8)).to_pylist() == []


@settings(deadline=None)
@given(st.lists(st.binary(min_size=16, max_size=16), min_size=1))
def test_any_bytes_are_an_address(values):
    found = address_texts(np.frombuffer(b"".join(values), np.uint8).reshape(-1, 16)).to_pylist()
    for value, text in zip(values, found, strict=True):
        if value.startswith(b"\0" * 10 + b"\xff\xff"):
            assert socket.inet_pton(socket.AF_INET, text) == value[12:]
        else:
            assert socket.inet_pton(socket.AF_INET6, text) == value


@pytest.mark.parametrize("n", [1, 100_000])
def test_one_text_for_each_row(n):
    assert address_texts(np.zeros((n, 16), np.uint8)).to_pylist() == ["::"] * n
