"""Events of a running cell, followed: each once, in both kinds of loops."""

import asyncio
import threading

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from workbench.cells import collector
from workbench.cells.collector import Stream
from workbench.cells.engine import Outlet
from workbench.cells.live_events import LiveEvents
from workbench.errors import BufferFormatError, ParameterError
from workbench.probe.column_type import Member, Scalar, Struct
from workbench.probe.map_access import RINGBUF
from workbench.probe.open_map import OpenMap
from workbench.probe.span import Span

EVENT = Struct("event", 8, (Member("number", 0, Scalar(np.dtype("<u8"))),))


class Buffer:
    """A buffer that gives numbers that were put in."""

    lost = 0

    def __init__(self, *_):
        self.waiting = []

    def drain(self):
        while self.waiting:
            numbers = np.array(self.waiting.pop(0), np.uint64)
            sizes = np.full(len(numbers), 8)
            yield Span(numbers.view(np.uint8), np.arange(len(numbers)) * 8, sizes, 8)


@pytest.fixture
def stream(monkeypatch):
    monkeypatch.setattr(collector, "RingBuffer", Buffer)
    return Stream("events", Outlet(OpenMap(3, 1, "e", RINGBUF, 0, 0, 4096), EVENT))


def fill(stream, over, times=50):
    """What a cell does: drains while it runs, and once more at its end."""
    for number in range(times):
        stream._buffer.waiting.append([2 * number, 2 * number + 1])
        stream.drain()
        over.wait(0.001)
    stream._buffer.waiting.append([2 * times])
    stream.drain()
    over.set()


@pytest.mark.parametrize("format", ["arrow", "polars", "pandas"])
def test_each_event_once(stream, format):
    over = threading.Event()
    filling = threading.Thread(target=fill, args=(stream, over))
    filling.start()
    live = LiveEvents(stream, over, interval=0.003, format=format)
    batches = list(live)
    filling.join()
    numbers = [int(n) for batch in batches for n in pl.DataFrame(batch)["number"]]
    assert numbers == list(range(101))
    assert sum(len(batch) for batch in live) == 101  # once more, from the first one


def test_while_the_event_loop_goes_on(stream):
    over, turns = threading.Event(), []
    filling = threading.Thread(target=fill, args=(stream, over))

    async def tick():
        while True:
            turns.append(None)
            await asyncio.sleep(0.001)

    async def follow():
        ticking = asyncio.create_task(tick())
        filling.start()
        found = [batch async for batch in LiveEvents(stream, over, interval=0.003)]
        ticking.cancel()
        return pa.Table.from_batches(found)

    assert asyncio.run(follow())["number"].to_pylist() == list(range(101))
    filling.join()
    assert len(turns) > 3


def test_what_makes_no_sense(stream):
    for options in ({"interval": 0}, {"format": "numpy"}):
        with pytest.raises(ParameterError):
            LiveEvents(stream, threading.Event(), **options)


def test_records_that_are_longer_than_their_struct(stream):
    stream.event = Struct("half", 4, (Member("number", 0, Scalar(np.dtype("<u4"))),))
    over = threading.Event()
    fill(stream, over, 1)
    with pytest.raises(BufferFormatError, match="records of 8 bytes"):
        list(LiveEvents(stream, over))
    stream.event = None
    assert [len(batch) for batch in LiveEvents(stream, over)] == [2, 1]
    assert next(iter(LiveEvents(stream, over)))["data"][1].as_py() == (1).to_bytes(8, "little")
