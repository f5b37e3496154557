"""Arguments behind records, as text for people."""

import shlex

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.recorder.exec_source import command_lines


def behind(*lists, padding=0):
    """Words, their counts, and sizes of records with these arguments."""
    blobs = [b"".join(a.encode() + b"\0" for a in arguments) for arguments in lists]
    padded = [blob + bytes(-len(blob) % 8 + 8 * padding) for blob in blobs]
    words = np.frombuffer(b"".join(padded), np.uint64)
    counts = np.array([len(blob) // 8 for blob in padded], np.int64)
    return words, counts, np.array([len(blob) for blob in blobs], np.uint16)


@pytest.mark.parametrize("padding", [0, 1], ids=["ring", "perf"])
def test_arguments_are_quoted(padding):
    found = command_lines(*behind(["ls", "a b", ""], [], ["ü", "x'y"], padding=padding))
    assert found == ["ls 'a b' ''", "", "'ü' 'x'\"'\"'y'"]


def test_what_is_no_text():
    words, counts, _ = behind(["abcdefg"])
    assert command_lines(words, counts, np.array([3])) == ["abc"]  # cut: no NUL at the end
    raw = np.frombuffer(b"\xff\0" + bytes(6), np.uint64)
    assert command_lines(raw, np.array([1]), np.array([2])) == [shlex.quote("\ufffd")]


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=9)


@given(st.lists(st.lists(TEXT, min_size=1, max_size=4), max_size=5))
def test_every_argument_comes_back(lists):
    assert [shlex.split(text) for text in command_lines(*behind(*lists))] == lists
