"""Records of buffers into Arrow tables."""

import threading
import time

import numpy as np
import pytest

from workbench.cells import collector
from workbench.cells.collector import Collector, Stream, copied
from workbench.cells.engine import Outlet
from workbench.errors import BufferFormatError
from workbench.probe.column_type import Member, Scalar, Struct, Text
from workbench.probe.map_access import PERF_EVENT_ARRAY, RINGBUF
from workbench.probe.open_map import OpenMap
from workbench.probe.span import Span

EVENT = Struct(
    "event", 12, (Member("number", 0, Scalar(np.dtype("<u8"))), Member("name", 8, Text(4)))
)


def span(*payloads, step=0):
    data = bytearray()
    offsets = []
    for payload in payloads:
        data += b"\xff" * (step - len(payload) if step else 5)
        offsets.append(len(data))
        data += payload
    lengths = np.array([len(p) for p in payloads])
    return Span(np.frombuffer(bytes(data), np.uint8), np.array(offsets), lengths, step)


class Buffer:
    """A buffer that gives spans that were prepared."""

    lost = 0

    def __init__(self, *_):
        self.spans = []

    def drain(self):
        while self.spans:
            yield self.spans.pop(0)

    def close(self):
        self.spans = None


@pytest.fixture
def stream(monkeypatch):
    monkeypatch.setattr(collector, "RingBuffer", Buffer)
    monkeypatch.setattr(collector, "PerfBuffer", Buffer)

    def make(kind=RINGBUF, event=EVENT, **options):
        return Stream("events", Outlet(OpenMap(3, 1, "e", kind, 0, 0, 4096), event), **options)

    return make


def event(number, name):
    return EVENT.pack((number, name))


def test_rows_of_one_size_and_of_several():
    rows, lengths = copied(span(b"abcd", b"efgh", step=16))
    assert rows.tobytes() == b"abcdefgh"
    assert lengths.tolist() == [4, 4]
    rows, lengths = copied(span(b"ab", b"", b"efgh", b"cd"))
    assert rows.tobytes() == b"ab\0\0" + b"\0" * 4 + b"efgh" + b"cd\0\0"
    assert lengths.tolist() == [2, 0, 4, 2]


def test_events_become_columns(stream):
    made = stream()
    made._buffer.spans = [span(event(1, "a"), event(2, "b"), step=24), span(event(3, "c"))]
    assert made.arrow().num_rows == 0
    assert made.arrow().column_names == ["number", "name"]
    made.drain()
    assert made.arrow().to_pylist() == [
        {"number": i, "name": name} for i, name in enumerate("abc", 1)
    ]
    assert made.arrow() is made.arrow()
    assert made.delivered == 3


def test_short_records_are_filled_and_padding_is_cut(stream):
    # A sample ends on 8 bytes behind its 4 bytes of length: one of 8 bytes is 12 long.
    number = Struct("event", 8, (Member("number", 0, Scalar(np.dtype("<u8"))),))
    made = stream(PERF_EVENT_ARRAY, number)
    made._buffer.spans = [span(number.pack((1,)) + b"????", number.pack((2,))[:4])]
    made.drain()
    assert made.arrow().to_pylist() == [{"number": 1}, {"number": 2}]


@pytest.mark.parametrize("known", [True, False])
def test_records_of_another_type_stay_bytes(stream, known):
    made = stream(event=EVENT if known else None)
    payloads = [b"x" * 13, b"yz"] if known else [b"abc", b"yz"]
    made._buffer.spans = [span(*payloads), span(b"")]
    made.drain()
    assert made.arrow()["data"].to_pylist() == [*payloads, b""]


def test_without_events_of_an_unknown_type(stream):
    assert stream(event=None).arrow()["data"].to_pylist() == []


def test_what_is_too_much_is_counted(stream):
    made = stream(max_bytes=30)
    made._buffer.spans = [span(event(1, "a"), event(2, "b")), span(event(3, "c"))]
    made.drain()
    assert (made.delivered, made.forgotten) == (2, 1)
    assert made.arrow().num_rows == 2


def test_a_thread_drains_and_the_end_takes_the_rest(stream):
    made = stream()
    gathering = Collector([made])
    made._buffer.spans.append(span(event(1, "a")))
    deadline = time.monotonic() + 30
    while not made.delivered and time.monotonic() < deadline:
        time.sleep(0.01)
    assert made.delivered == 1
    gathering.end()
    made._buffer.spans.append(span(event(2, "b")))
    gathering.stop()
    assert made.delivered == 2
    assert "workbench-cell" not in [thread.name for thread in threading.enumerate()]


def test_nothing_to_drain():
    Collector([]).stop()


def test_nonsense_in_a_buffer_is_told_at_the_end(stream, monkeypatch):
    made = stream()

    def broken():
        raise BufferFormatError("no chain")

    monkeypatch.setattr(made, "drain", broken)
    gathering = Collector([made])
    with pytest.raises(BufferFormatError, match="no chain"):
        gathering.stop()
