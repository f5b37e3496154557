import numpy as np
import pytest

from workbench.errors import BufferFormatError
from workbench.probe.span import Span

NONE = np.empty(0, np.int64)


def test_no_records():
    span = Span(np.empty(0, np.uint8), NONE, NONE)
    assert len(span) == 0
    assert span.records(np.dtype("u4")).tolist() == []
    words, counts = span.tails(8)
    assert len(words) == len(counts) == 0


def test_records_that_are_not_aligned():
    data = np.arange(40, dtype=np.uint8)
    span = Span(data, np.array([1, 13, 30]), np.array([4, 4, 10]))
    wanted = [int.from_bytes(bytes(range(at, at + 4)), "little") for at in (1, 13, 30)]
    assert span.records(np.dtype("<u4")).tolist() == wanted


def test_the_last_record_may_end_with_the_data():
    data = np.arange(16, dtype=np.uint8)
    span = Span(data, np.array([0, 8]), np.array([8, 8]))
    assert span.records(np.dtype("<u8")).tolist() == data.view("<u8").tolist()


def test_short_records_are_refused():
    span = Span(np.zeros(32, np.uint8), np.array([0, 16]), np.array([16, 7]))
    with pytest.raises(BufferFormatError, match="7 bytes"):
        span.records(np.dtype("u8"))


def test_tails_of_equal_records():
    data = np.arange(8, dtype=np.uint64).view(np.uint8)
    span = Span(data, np.array([0, 32]), np.array([32, 32]), step=32)
    words, counts = span.tails(16)
    assert words.tolist() == [2, 3, 6, 7]
    assert counts.tolist() == [2, 2]
