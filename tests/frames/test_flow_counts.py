"""The flow graph of counts, worked out by hand, and beside that of single events."""

import polars as pl
import pytest
from fake_recording import FakeRecording
from network_rows import counts, table

from workbench.errors import MissingTableError
from workbench.frames import flows

SPAN = pl.Duration("ns")


def row(ts, pid, role, port, connections, sent, **others):
    hist = [0] * 64
    hist[others.pop("rtt", 0)] = others.pop("samples", 0)
    return {
        "ts": ts, "pid": pid, "comm": "app", "role": role, "remote_address": "10.0.0.2",
        "port": port, "connections": connections, "connect_errors": 0, "closes": 0,
        "bytes_sent": sent, "bytes_received": 0, "retransmits": 0, "duration_sum": 0,
        "rtt_hist": hist, **others,
    }  # fmt: skip


def recording(*rows):
    times = pl.col("ts").cast(pl.Datetime("ns", "UTC")), pl.col("duration_sum").cast(SPAN)
    return FakeRecording(tcp_agg=pl.DataFrame(rows).with_columns(*times))


def test_edges():
    found = flows.edges(
        recording(
            row(1, 7, "client", 80, 1, 5),  # an earlier snapshot
            row(2, 7, "client", 80, 3, 20, connect_errors=1, closes=2, duration_sum=300,
                rtt=10, samples=4, retransmits=2),
            row(2, 8, "client", 80, 1, 30, closes=1, duration_sum=0, rtt=10, samples=1),
            row(2, 7, "client", 443, 1, 90),
            row(2, 7, "listener", 22, 0, 0),
        )
    )  # fmt: skip
    spans = found.with_columns(pl.col("duration", "rtt").cast(pl.Int64))
    assert spans.rows() == [
        ("app", "client", "10.0.0.2", 443, 1, 0, 90, 0, 0, None, None),
        ("app", "client", "10.0.0.2", 80, 4, 1, 50, 0, 2, 100, spans["rtt"][1]),
    ]
    assert 1024 <= spans["rtt"][1] < 2048


def test_single_events_go_first():
    with pytest.raises(MissingTableError):
        flows.edges(FakeRecording())


def test_listeners():
    listener = {"pid": 7, "comm": "app", "role": "listener"}
    made = [
        {**listener, "ts": 1, "port": 80, "dropped": 1},  # an earlier snapshot
        {**listener, "ts": 2, "port": 80, "dropped": 4},
        {**listener, "ts": 2, "port": 443, "dropped": 5},
        {**listener, "ts": 2, "port": 9, "role": "server", "dropped": 6},
    ]
    told = [
        {**listener, "ts": 1, "socket": 1, "local_port": 80, "dropped": 1},
        {**listener, "ts": 2, "socket": 1, "local_port": 80, "dropped": 4},
        {**listener, "ts": 2, "socket": 2, "local_port": 443, "dropped": 3},
        {**listener, "ts": 2, "socket": 3, "local_port": 443, "dropped": 2},  # of another worker
        {**listener, "ts": 2, "socket": 4, "role": "server", "dropped": 6},
    ]
    found = flows.listeners(FakeRecording(tcp_agg=counts("tcp", made)))
    assert found.rows() == [("app", 7, 443, 5), ("app", 7, 80, 4)]
    of_events = flows.listeners(FakeRecording(tcp=table("tcp", told)))
    assert of_events.equals(found)
    assert of_events.schema == found.schema
    with pytest.raises(MissingTableError):
        flows.listeners(FakeRecording())
