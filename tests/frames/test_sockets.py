"""Sums over calls on sockets, from rows worked out by hand."""

import polars as pl
import pytest
from fake_recording import FakeRecording
from hypothesis import given, settings
from hypothesis import strategies as st
from network_rows import counts, table

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


@settings(deadline=None)
@given(st.lists(st.integers(0, 1 << 40), min_size=1))
def test_every_call_is_in_the_bucket_of_its_size(values):
    made = [{**ONE, "bytes": value} for value in values]
    found = sockets.sizes(FakeRecording(sockets=table("sockets", made)))
    assert found["calls"].sum() == len(values)
    for low, high, calls in found.select("low", "high", "calls").iter_rows():
        assert sum(low <= value < high for value in values) == calls


def hist(**slots):
    return [slots.get(f"at{i}", 0) for i in range(64)]


def test_counts_of_the_kernel():
    """Snapshots are cumulative; a socket that only sent has one row."""
    one = {"inode": 5, "pid": 7, "protocol": "udp", "comm": "app", "remote_port": 53}
    made = [
        {**one, "ts": 1, "sends": 1, "bytes_sent": 9, "send_sum": 4, "send_hist": hist(at2=1)},
        {**one, "ts": 2, "sends": 3, "bytes_sent": 30, "send_sum": 12, "send_errors": 1,
         "send_hist": hist(at2=3), "receives": 1, "bytes_received": 50, "receive_sum": 1024,
         "receive_hist": hist(at10=1)},
        {"inode": 6, "ts": 2, "sends": 1, "send_sum": 1, "send_hist": hist(at0=1)},
    ]  # fmt: skip
    found = sockets.by_socket(FakeRecording(sockets_agg=counts("sockets", made)))
    assert rows(found, "inode", "direction", "calls", "errors", "bytes", "total", "messages") == [
        (5, "receive", 1, 0, 50, 1024, None),
        (5, "send", 3, 1, 30, 12, None),
        (6, "send", 1, 0, 0, 1, None),
    ]
    quantiles = rows(found, "p50", "p99")
    assert all(1024 <= value < 2048 for value in quantiles[0])
    assert all(4 <= value <= 8 for value in quantiles[1])
    assert found["protocol"].to_list() == ["udp", "udp", ""]
    events = sockets.by_socket(FakeRecording(sockets=table("sockets", ROWS)))
    assert found.columns == events.columns
    assert found.schema == events.schema
    none = FakeRecording(sockets_agg=counts("sockets", []))
    assert sockets.by_socket(none).is_empty()


def test_other_sessions_have_no_sockets():
    for frame in (sockets.by_socket, sockets.by_peer, sockets.by_call, sockets.sizes):
        with pytest.raises(MissingTableError, match="sockets"):
            frame(FakeRecording())
        assert frame(FakeRecording(sockets=table("sockets", []))).is_empty()
