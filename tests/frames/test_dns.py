"""Lookups by name and by server, from messages worked out by hand."""

import polars as pl
import pytest
from fake_recording import FakeRecording
from network_rows import table

from workbench.errors import MissingTableError
from workbench.frames import dns

Q = {"message": "query", "direction": "send", "qname": "a.org", "qtype": "A",
     "rcode": "noerror", "remote_address": "10.0.0.53"}  # fmt: skip
R = {**Q, "message": "answer", "direction": "receive"}
ROWS = [
    {**Q, "ts": 1},
    {**Q, "ts": 2, "qname": "A.Org"},
    {**R, "ts": 3, "latency": 40, "answers": 2},
    {**R, "ts": 4, "latency": 60},
    {**R, "ts": 5, "rcode": "nxdomain", "latency": 0},
    {**R, "ts": 6, "qname": "b.org", "rcode": "servfail", "latency": 7},
    {**Q, "ts": 7, "direction": "receive", "remote_address": "10.0.0.9"},
    {**R, "ts": 8, "direction": "send", "remote_address": "10.0.0.9", "latency": 3, "answers": 1},
]


def rows(frame, *columns):
    return frame.with_columns(pl.col(pl.Duration).cast(pl.Int64)).select(columns).rows()


def test_by_name():
    found = dns.by_name(FakeRecording(dns=table("dns", ROWS)))
    columns = ("role", "qname", "qtype", "queries", "answers", "nxdomain", "failed", "empty")
    assert rows(found, *columns, "p50", "p99", "max") == [
        ("client", "a.org", "A", 2, 3, 1, 0, 1, 40, 60, 60),
        ("server", "a.org", "A", 1, 1, 0, 0, 0, 3, 3, 3),
        ("client", "b.org", "A", 0, 1, 0, 1, 0, 7, 7, 7),
    ]


def test_by_server():
    found = dns.by_server(FakeRecording(dns=table("dns", ROWS)))
    assert rows(found, "role", "remote_address", "queries", "answers", "failed", "p50") == [
        ("client", "10.0.0.53", 2, 4, 1, 40),
        ("server", "10.0.0.9", 1, 1, 0, 3),
    ]


def test_without_messages():
    for frame in (dns.by_name, dns.by_server):
        assert frame(FakeRecording(dns=table("dns", []))).is_empty()
        with pytest.raises(MissingTableError, match="dns"):
            frame(FakeRecording())
