"""Lookups by name and by server, from messages worked out by hand."""

import polars as pl
import pytest
from fake_recording import FakeRecording
from network_rows import counts, table

from workbench.errors import MissingTableError
from workbench.frames import dns
from workbench.network_names import DNS_CODES

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


COLUMNS = ["role", "qname", "qtype", "queries", "answers", "unanswered", "nxdomain", "failed",
           "empty"]  # fmt: skip


def rows(frame, *columns):
    return frame.with_columns(pl.col(pl.Duration).cast(pl.Int64)).select(columns).rows()


def test_by_name():
    found = dns.by_name(FakeRecording(dns=table("dns", ROWS)))
    assert found.columns == [*COLUMNS, "p50", "p99", "max"]
    assert rows(found, *found.columns) == [
        ("client", "a.org", "A", 2, 3, 0, 1, 0, 1, 40, 60, 60),
        ("server", "a.org", "A", 1, 1, 0, 0, 0, 0, 3, 3, 3),
        ("client", "b.org", "A", 0, 1, 0, 0, 1, 0, 7, 7, 7),
    ]


def test_by_server():
    found = dns.by_server(FakeRecording(dns=table("dns", ROWS)))
    assert rows(found, "role", "remote_address", "queries", "answers", "failed", "p50") == [
        ("client", "10.0.0.53", 2, 4, 1, 40),
        ("server", "10.0.0.9", 1, 1, 0, 3),
    ]


def test_queries_that_have_no_answer_yet():
    messages = [{**Q, "ts": 1}, {**Q, "ts": 2}, {**R, "ts": 3, "latency": 5}, {**R, "ts": 4}]
    found = dns.by_name(FakeRecording(dns=table("dns", messages)))
    assert rows(found, "queries", "answers", "unanswered") == [(2, 2, 1)]  # one is of nobody


def codes(**found):
    return [found.get(name, 0) for name in DNS_CODES[:16]]


def hist(*values):
    return [sum(value.bit_length() == n + 1 for value in values) for n in range(64)]


KEY = {"qname": "a.org", "qtype": "A", "role": "client", "remote_address": "10.0.0.53", "pid": 7}
COUNTS = [
    {**KEY, "ts": 1, "queries": 1},  # an earlier snapshot
    {**KEY, "ts": 2, "queries": 2, "answers": 2, "answered": 2, "empty": 1,
     "rcodes": codes(noerror=2), "latency_hist": hist(40, 60), "latency_max": 60},
    {**KEY, "ts": 2, "pid": 8, "answers": 1, "rcodes": codes(nxdomain=1)},
    {**KEY, "ts": 2, "qname": "b.org", "answers": 1, "rcodes": codes(servfail=1), "answered": 1,
     "latency_hist": hist(7), "latency_max": 7},
    {**KEY, "ts": 2, "role": "server", "remote_address": "10.0.0.9", "queries": 1, "answers": 1,
     "answered": 1, "rcodes": codes(noerror=1), "latency_hist": hist(3), "latency_max": 3},
]  # fmt: skip


def test_counts_and_events_give_the_same():
    """But for quantiles, which are right up to a factor of two."""
    counted = FakeRecording(dns_agg=counts("dns", COUNTS))
    for frame in (dns.by_name, dns.by_server):
        made, wanted = frame(counted), frame(FakeRecording(dns=table("dns", ROWS)))
        assert made.schema == wanted.schema
        exact = [name for name in made.columns if name not in ("p50", "p99")]
        assert rows(made, *exact) == rows(wanted, *exact)
        for name in ("p50", "p99"):
            pairs = zip(rows(made, name), rows(wanted, name), strict=True)
            assert all(a <= 2 * b <= 4 * a for (a,), (b,) in pairs)


def test_counts_without_answers():
    found = dns.by_name(FakeRecording(dns_agg=counts("dns", [{**KEY, "ts": 1, "queries": 3}])))
    assert rows(found, "queries", "unanswered", "p50", "max") == [(3, 3, None, None)]


def test_without_messages():
    for frame in (dns.by_name, dns.by_server):
        assert frame(FakeRecording(dns=table("dns", []))).is_empty()
        assert frame(FakeRecording(dns_agg=counts("dns", []))).is_empty()
        with pytest.raises(MissingTableError, match="dns"):
            frame(FakeRecording())
