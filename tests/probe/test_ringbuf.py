"""The ring buffer's walk on made-up bytes, and the whole of it on a real ring."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import BufferFormatError, KernelError
from workbench.probe.replay import ReplayRing
from workbench.probe.ringbuf import BUSY, DISCARD, PAGE, RingBuffer, walk

FIRST_PAGE = 3
SIZE = 1 << 16


def ring_bytes(records, start=0, size=SIZE):
    """Bytes of a ring as the kernel lays them out: (payload, flags) each."""
    out = bytearray()
    for payload, flags in records:
        page = FIRST_PAGE + (start + len(out)) % size // PAGE
        out += np.array([len(payload) | flags, page], np.uint32).tobytes()
        out += payload + b"\0" * (-len(payload) % 8)
    return bytes(out)


def read(data, start=0, size=SIZE, limit=1 << 22):
    got = []
    for span in ReplayRing(data, start, size).drain(limit):
        for offset, length in zip(span.offsets, span.lengths, strict=True):
            got.append(span.data[offset : offset + length].tobytes())
    return got


PAYLOAD = st.binary(min_size=1, max_size=200)
FLAGS = st.sampled_from([0, 0, 0, DISCARD])


@settings(max_examples=300)
@given(
    st.lists(st.tuples(PAYLOAD, FLAGS), max_size=80),
    st.integers(0, SIZE // 8 - 1),
    st.sampled_from([64, 256, 1 << 22]),
)
def test_any_mixture_is_read_as_it_was_written(records, start, limit):
    data = ring_bytes(records, start * 8)
    assert read(data, start * 8, limit=limit) == [p for p, flags in records if not flags]


@given(st.lists(PAYLOAD, min_size=1, max_size=40), st.data())
def test_stops_before_a_busy_record(payloads, draw):
    busy = draw.draw(st.integers(0, len(payloads) - 1))
    records = [(p, BUSY if i == busy else 0) for i, p in enumerate(payloads)]
    assert read(ring_bytes(records)) == payloads[:busy]


def test_contents_that_look_like_headers_do_not_mislead():
    fake = np.array([8, FIRST_PAGE] * 6, np.uint32).tobytes()
    payloads = [fake, b"x" * 16, fake, b"y" * 40, fake * 2]
    assert read(ring_bytes([(p, 0) for p in payloads])) == payloads


def test_equal_records_are_one_strided_view_of_the_ring():
    dtype = np.dtype([("a", "u8"), ("b", "u4"), ("c", "u4")])
    events = np.zeros(100, dtype)
    events["a"] = np.arange(100)
    events["c"] = 7
    words = np.frombuffer(ring_bytes([(e.tobytes(), 0) for e in events]), np.uint64)
    span, used = walk(words, 0, SIZE)
    assert used == len(words) * 8
    records = span.records(dtype)
    assert np.shares_memory(records, words)
    assert (records == events).all()


def test_records_of_two_sizes_are_gathered():
    dtype = np.dtype([("a", "u8")])
    payloads = [i.to_bytes(8, "little") + b"\0" * (8 * (i % 3)) for i in range(50)]
    (span,) = ReplayRing(ring_bytes([(p, 0) for p in payloads])).drain()
    assert span.records(dtype)["a"].tolist() == list(range(50))


def test_tails_have_the_words_behind_the_head():
    payloads = [np.arange(2 + n, dtype=np.uint64).tobytes() for n in (0, 3, 1)]
    (span,) = ReplayRing(ring_bytes([(p, 0) for p in payloads])).drain()
    words, counts = span.tails(16)
    assert counts.tolist() == [0, 3, 1]
    assert words.tolist() == [2, 3, 4, 2]


def test_a_short_record_is_an_error():
    (span,) = ReplayRing(ring_bytes([(b"1234", 0)])).drain()
    with pytest.raises(BufferFormatError, match="too short"):
        span.records(np.dtype("u8"))


def test_broken_headers_are_an_error():
    data = bytearray(ring_bytes([(b"12345678", 0), (b"1234", 0), (b"x" * 30, 0)]))
    data[16] = 200
    data[20] = 99
    with pytest.raises(BufferFormatError, match="chain"):
        read(bytes(data))


def test_a_descriptor_that_is_no_ring_is_an_error(tmp_path):
    with (tmp_path / "file").open("w+b") as file, pytest.raises(KernelError, match="mapped"):
        RingBuffer(file.fileno(), 4096)
