"""Connections, the graph that they make, and their troubles, from rows worked out by hand."""

import polars as pl
import pytest
from fake_recording import FakeRecording
from network_rows import table

from workbench.errors import MissingTableError
from workbench.frames import flows

ENDS = {"local_address": "10.0.0.1", "remote_address": "10.0.0.2", "family": "ipv4"}
ONE = {**ENDS, "socket": 1, "start": 100, "role": "client", "pid": 7, "comm": "app",
       "local_port": 4000, "remote_port": 80}  # fmt: skip
TWO = {**ENDS, "socket": 2, "start": 50, "role": "server", "pid": 8, "comm": "srv",
       "local_port": 80, "remote_port": 5000}  # fmt: skip
ROWS = [
    {**TWO, "ts": 50, "event": "state", "state": "syn_recv"},
    {**ONE, "ts": 100, "event": "state", "state": "syn_sent", "local_port": 0},
    {**ONE, "ts": 130, "event": "connect", "state": "established", "latency": 30, "rtt": 20},
    {**ONE, "ts": 140, "event": "sample", "state": "established", "rtt": 40, "bytes_sent": 10},
    {**ONE, "ts": 150, "event": "retransmit", "state": "established", "rtt": 60, "size": 5,
     "reason": "timeout", "retransmits": 1, "bytes_retrans": 5},
    {**TWO, "ts": 160, "event": "accept", "state": "established", "latency": 70, "pid": 9},
    {**TWO, "ts": 170, "event": "drop", "state": "established", "reason": "tcp_flags", "size": 9},
    {**TWO, "ts": 180, "event": "reset_sent", "state": "established", "reason": "tcp_state",
     "pid": 9},
    {**TWO, "ts": 190, "event": "open", "state": "established", "bytes_received": 99, "pid": 9,
     "partial": 1},
    {**ONE, "ts": 200, "event": "closed", "state": "close", "errno": 104, "bytes_sent": 20,
     "retransmits": 1, "bytes_retrans": 5, "latency": 100},
    {**ONE, "ts": 300, "event": "state", "state": "syn_sent", "start": 300},
    {**ENDS, "socket": 3, "start": 1, "ts": 1, "event": "state", "role": "listener"},
]  # fmt: skip


@pytest.fixture
def rec():
    return FakeRecording(tcp=table("tcp", ROWS))


def numbers(frame, *columns):
    times = [c for c in columns if frame.schema[c] == pl.Duration("ns")]
    return frame.with_columns(pl.col(times).cast(pl.Int64)).select(columns).rows()


def test_connections(rec):
    found = flows.connections(rec)
    assert numbers(found, "socket", "duration", "pid", "end", "errno", "connect", "accept") == [
        (2, 140, 9, "established", 0, None, 70),
        (1, 100, 7, "close", 104, 30, None),
        (1, 0, 7, "syn_sent", 0, None, None),  # the same socket, used again
    ]
    columns = ("bytes_sent", "bytes_received", "bytes_retrans", "retransmits", "drops")
    assert numbers(found, *columns) == [(0, 99, 0, 0, 1), (20, 0, 5, 1, 0), (0, 0, 0, 0, 0)]
    assert numbers(found, "resets_sent", "rtt_p50", "rtt_p99", "partial", "local_port") == [
        (1, None, None, True, 80),
        (0, 40, 60, False, 4000),
        (0, None, None, False, 4000),
    ]
    assert found["comm"].to_list() == ["srv", "app", "app"]


def test_edges(rec):
    found = flows.edges(rec)
    columns = ("comm", "role", "port", "connections", "failed", "bytes_sent", "bytes_received")
    assert numbers(found, *columns, "retransmits", "duration", "rtt") == [
        ("srv", "server", 80, 1, 0, 0, 99, 0, 140, None),
        ("app", "client", 80, 2, 1, 20, 0, 1, 50, 40),
    ]


def test_the_service_of_an_unknown_side_is_the_lower_port():
    rows = [{**ONE, "ts": 1, "event": "open", "role": "unknown"}]
    found = flows.edges(FakeRecording(tcp=table("tcp", rows)))
    assert found["port"].to_list() == [80]


def test_troubles(rec):
    assert flows.troubles(rec).rows() == [
        ("drop", "tcp_flags", "10.0.0.2", 1, 9),
        ("reset_sent", "tcp_state", "10.0.0.2", 1, 0),
        ("retransmit", "timeout", "10.0.0.2", 1, 5),
    ]


def test_nothing_happened():
    rec = FakeRecording(tcp=table("tcp", []))
    for frame in (flows.connections, flows.edges, flows.troubles):
        assert frame(rec).is_empty()


def test_other_sessions_have_no_connections():
    with pytest.raises(MissingTableError, match="tcp"):
        flows.connections(FakeRecording())
