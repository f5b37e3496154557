"""Requests by path and status, from messages worked out by hand."""

import polars as pl
import pytest
from fake_recording import FakeRecording
from network_rows import table

from workbench.errors import MissingTableError
from workbench.frames import http

Q = {"message": "request", "direction": "send", "method": "GET", "path": "/a"}
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


def test_without_messages():
    for frame in (http.by_path, http.by_status):
        assert frame(FakeRecording(http=table("http", []))).is_empty()
        with pytest.raises(MissingTableError, match="http"):
            frame(FakeRecording())
