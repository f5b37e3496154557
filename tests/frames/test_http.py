"""Requests by path and status, from messages worked out by hand."""

import polars as pl
import pytest
from fake_recording import FakeRecording
from network_rows import counts, table

from workbench.errors import MissingTableError
from workbench.frames import http

Q = {"message": "request", "direction": "send", "method": "GET", "path": "/a",
     "remote_address": "10.0.0.8", "remote_port": 80, "local_port": 40000}  # fmt: skip
R = {**Q, "message": "answer", "direction": "receive", "status": 200}
ROWS = [
    {**Q, "ts": 1},
    {**Q, "ts": 2},
    {**Q, "ts": 3},
    {**R, "ts": 4, "latency": 10},
    {**R, "ts": 5, "latency": 30, "status": 503},
    {**R, "ts": 6, "method": "none", "path": "", "status": 404},
    {**Q, "ts": 7, "direction": "receive", "method": "POST"},
    {**R, "ts": 8, "direction": "send", "method": "POST", "latency": 5, "status": 404},
]


def rows(frame, *columns):
    return frame.with_columns(pl.col(pl.Duration).cast(pl.Int64)).select(columns).rows()


def test_by_status():
    found = http.by_status(FakeRecording(http=table("http", ROWS)))
    assert rows(found, "role", "method", "path", "status", "answers", "p50", "p99", "max") == [
        ("client", "GET", "/a", 200, 1, 10, 10, 10),
        ("client", "GET", "/a", 503, 1, 30, 30, 30),
        ("client", "none", "", 404, 1, None, None, None),
        ("server", "POST", "/a", 404, 1, 5, 5, 5),
    ]


def test_by_path():
    found = http.by_path(FakeRecording(http=table("http", ROWS)))
    columns = ("role", "method", "requests", "answers", "unanswered", "client_errors")
    assert rows(found, *columns, "server_errors", "p50", "p90") == [
        ("client", "GET", 3, 2, 1, 0, 1, 10, 30),
        ("server", "POST", 1, 1, 0, 1, 0, 5, 5),
        ("client", "none", 0, 1, 0, 1, 0, None, None),
    ]


def test_by_peer():
    found = http.by_peer(FakeRecording(http=table("http", ROWS)))
    columns = ("role", "remote_address", "port", "requests", "answers", "unanswered", "max")
    assert rows(found, *columns) == [
        ("client", "10.0.0.8", 80, 3, 3, 0, 30),
        ("server", "10.0.0.8", 40000, 1, 1, 0, 5),
    ]


KEY = {"role": "client", "method": "GET", "path": "/a", "port": 80, "remote_address": "10.0.0.8"}
SERVED = {**KEY, "role": "server", "method": "POST", "port": 40000}


def answer(key, status, latency):
    slots = [int(latency.bit_length() == n + 1) for n in range(64)]
    more = {"ts": 2, "pid": 7, "status": status, "answers": 1, "latency_max": latency}
    return {**key, **more, "latency_hist": slots}


COUNTS = [
    {**KEY, "ts": 1, "pid": 7, "requests": 1},  # an earlier snapshot
    {**KEY, "ts": 2, "pid": 7, "requests": 2},
    {**KEY, "ts": 2, "pid": 8, "requests": 1},
    answer(KEY, 200, 10),
    answer(KEY, 503, 30),
    answer({**KEY, "method": "none", "path": ""}, 404, 0),
    {**SERVED, "ts": 2, "pid": 7, "requests": 1},
    answer(SERVED, 404, 5),
]


def test_counts_and_events_give_the_same():
    """But for quantiles, which are right up to a factor of two."""
    counted = FakeRecording(http_agg=counts("http", COUNTS))
    for frame in (http.by_path, http.by_status, http.by_peer):
        made, wanted = frame(counted), frame(FakeRecording(http=table("http", ROWS)))
        assert made.schema == wanted.schema
        exact = [name for name in made.columns if not name.startswith("p") or name in KEY]
        assert rows(made, *exact) == rows(wanted, *exact)
        for name in ("p50", "p90", "p99"):
            pairs = zip(rows(made, name), rows(wanted, name), strict=True)
            assert all((a or 0) <= 2 * (b or 0) <= 4 * (a or 0) for (a,), (b,) in pairs)


def test_without_messages():
    for frame in (http.by_path, http.by_status, http.by_peer):
        assert frame(FakeRecording(http=table("http", []))).is_empty()
        assert frame(FakeRecording(http_agg=counts("http", []))).is_empty()
        with pytest.raises(MissingTableError, match="http"):
            frame(FakeRecording())
