"""Sums over calls on sockets, from rows worked out by hand."""

import polars as pl
import pytest
from fake_recording import FakeRecording
from hypothesis import given
from hypothesis import strategies as st
from network_rows import table

from workbench.errors import MissingTableError
from workbench.frames import sockets

ONE = {"inode": 5, "protocol": "udp", "direction": "send", "comm": "app", "name": "sendto"}
ROWS = [
    {**ONE, "ts": 1, "bytes": 10, "latency": 4, "remote_port": 53, "messages": 1},
    {**ONE, "ts": 3, "bytes": 30, "latency": 9, "remote_port": 53, "messages": 2, "comm": "new"},
    {**ONE, "ts": 2, "latency": 5, "remote_port": 99, "errno": 11, "ret": -11},
    {**ONE, "ts": 4, "direction": "receive", "bytes": 100, "latency": 7, "name": "recvfrom",
     "weight": 3, "messages": 1},
    {"inode": 6, "protocol": "unix", "direction": "send", "ts": 5, "bytes": 1, "name": "write",
     "comm": "app"},
]  # fmt: skip


@pytest.fixture
def rec():
    return FakeRecording(sockets=table("sockets", ROWS))


def rows(frame, *columns):
    return frame.with_columns(pl.col(pl.Duration).cast(pl.Int64)).select(columns).rows()


def test_by_socket(rec):
    found = sockets.by_socket(rec)
    columns = ("inode", "direction", "calls", "errors", "messages", "bytes", "total", "p50", "max")
    assert rows(found, *columns) == [
        (5, "receive", 3, 0, 3, 300, 21, 7, 7),
        (5, "send", 3, 1, 3, 40, 18, 5, 9),
        (6, "send", 1, 0, 0, 1, 0, 0, 0),
    ]
    assert found["comm"].to_list() == ["app", "new", "app"]
    assert found["remote_port"].to_list() == [0, 53, 0]


def test_by_peer(rec):
    columns = ("comm", "protocol", "direction", "remote_port", "calls", "errors")
    assert set(rows(sockets.by_peer(rec), *columns)) == {
        ("app", "udp", "receive", 0, 3, 0),
        ("new", "udp", "send", 53, 1, 0),
        ("app", "udp", "send", 53, 1, 0),
        ("app", "unix", "send", 0, 1, 0),
        ("app", "udp", "send", 99, 1, 1),
    }


def test_by_call(rec):
    assert rows(sockets.by_call(rec), "name", "calls", "bytes") == [
        ("recvfrom", 3, 300),
        ("sendto", 3, 40),
        ("write", 1, 1),
    ]


def test_sizes(rec):
    assert sockets.sizes(rec).rows() == [
        ("udp", "receive", 64, 128, 3),
        ("udp", "send", 0, 1, 1),
        ("udp", "send", 8, 16, 1),
        ("udp", "send", 16, 32, 1),
        ("unix", "send", 1, 2, 1),
    ]


@given(st.lists(st.integers(0, 1 << 40), min_size=1))
def test_every_call_is_in_the_bucket_of_its_size(values):
    made = [{**ONE, "bytes": value} for value in values]
    found = sockets.sizes(FakeRecording(sockets=table("sockets", made)))
    assert found["calls"].sum() == len(values)
    for low, high, calls in found.select("low", "high", "calls").iter_rows():
        assert sum(low <= value < high for value in values) == calls


def test_other_sessions_have_no_sockets():
    for frame in (sockets.by_socket, sockets.by_peer, sockets.by_call, sockets.sizes):
        with pytest.raises(MissingTableError, match="sockets"):
            frame(FakeRecording())
        assert frame(FakeRecording(sockets=table("sockets", []))).is_empty()
