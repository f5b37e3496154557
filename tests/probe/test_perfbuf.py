"""The perf buffer's walk on made-up bytes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import BufferFormatError
from workbench.probe.perfbuf import LOST, SAMPLE
from workbench.probe.replay import ReplayPerf

PAYLOAD = st.binary(min_size=1, max_size=120)


def sample(payload):
    """A sample: header, length of the raw data (with padding, as the kernel counts), data."""
    size = -(-(len(payload) + 4) // 8) * 8
    head = np.array([SAMPLE, (8 + size) << 16, size - 4], np.uint32).tobytes()
    return head + payload.ljust(size - 4, b"\0")


def lost(count):
    head = np.array([LOST, 24 << 16], np.uint32).tobytes()
    return head + np.array([1, count], np.uint64).tobytes()


def other():
    """A record of a type that nobody asked for."""
    return np.array([77, 16 << 16, 5, 6], np.uint32).tobytes()


def read(*contents):
    replay, got = ReplayPerf(contents), []
    for span in replay.drain():
        for offset, length in zip(span.offsets, span.lengths, strict=True):
            got.append(span.data[offset : offset + length].tobytes())
    return got, replay.lost


@settings(max_examples=300)
@given(st.lists(st.one_of(PAYLOAD, st.integers(1, 1 << 40), st.none()), max_size=60))
def test_any_mixture_of_samples_losses_and_others(records):
    make = {bytes: sample, int: lost, type(None): lambda _: other()}
    data = b"".join(make[type(r)](r) for r in records)
    got, counted = read(data)
    payloads = [r for r in records if isinstance(r, bytes)]
    assert [g[: len(p)] for g, p in zip(got, payloads, strict=True)] == payloads
    assert counted == sum(r for r in records if isinstance(r, int))


def test_equal_samples_are_strided():
    data = b"".join(sample(i.to_bytes(4, "little")) for i in range(20))
    (span,) = ReplayPerf([data]).drain()
    assert span.step == 16
    assert span.records(np.dtype("u4")).tolist() == list(range(20))


def test_equal_headers_with_other_lengths_are_not_taken_for_equal():
    one, two = bytearray(sample(b"12345678")), sample(b"abcdefgh")
    one[8:12] = (6).to_bytes(4, "little")
    got, _ = read(bytes(one) + two)
    assert got[0] == b"123456"
    assert got[1][:8] == b"abcdefgh"


@pytest.mark.parametrize(
    "data",
    [
        b"\0" * 16,
        sample(b"1234")[:8] + b"\xff" * 8,
        sample(b"1234") + b"\x09\0\0\0\0\0\x40\0",
    ],
)
def test_damage_is_an_error(data):
    with pytest.raises(BufferFormatError):
        read(data)


def test_every_cpu_is_read():
    got, counted = read(sample(b"a" * 4), b"", sample(b"b" * 4) + lost(3))
    assert got == [b"aaaa", b"bbbb"]
    assert counted == 3
