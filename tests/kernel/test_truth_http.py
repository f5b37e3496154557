"""Requests of clients that measure them, at the bundled server and at one of known slowness."""

import http.client
import json
import subprocess
import time
from pathlib import Path

import polars as pl
import pytest
from http_exchange import exchange

import workbench as wb
from workbench import demo
from workbench.frames import http as frames

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("nothing_left")]

SLOW_API = Path(demo.__file__).with_name("slow-api")
TEXTS = pl.col("message", "direction", "method").cast(pl.String)


def rows(session, **conditions):
    found = session["http"].polars().with_columns(TEXTS, pl.col("latency").cast(pl.Int64))
    losses = session.losses.filter(kind="http")
    assert losses["dropped"].sum() == 0
    assert losses["delivered"].sum() == found.height
    return found.filter(**conditions).sort("ts")


def ask(port, path):
    """Ask; return the status, and ns by the own clock."""
    start = time.monotonic_ns()
    connection = http.client.HTTPConnection("127.0.0.1", port)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        return answer.status, time.monotonic_ns() - start
    finally:
        connection.close()


PATHS = ["/fast", "/slow", "/report?rows=500&seed=3", "/missing", "/chatty", "/fast"] * 3


def test_the_bundled_server(tmp_path):
    with subprocess.Popen([SLOW_API, "serve"], stdout=subprocess.PIPE, text=True) as child:
        try:
            port = int(child.stdout.readline().rsplit(":", 1)[1])
            with wb.capture("http", pid=child.pid, output=tmp_path / "s.wb"):
                told = [ask(port, path) for path in PATHS]
            session = wb.open(tmp_path / "s.wb")
        finally:
            child.terminate()
    asked, answered = (rows(session, message=kind) for kind in ("request", "answer"))
    plain = [path.partition("?")[0] for path in PATHS]
    assert asked["path"].to_list() == answered["path"].to_list() == plain
    assert set(asked["direction"]) == {"receive"}
    assert set(asked["method"]) == set(answered["method"]) == {"GET"}
    assert answered["status"].to_list() == [status for status, _ in told]
    assert 404 in set(answered["status"])
    # What the server took is a part of what its client waited for, and most of a slow answer.
    for latency, (_, wait) in zip(answered["latency"], told, strict=True):
        assert 0 < latency < wait
    by_path = frames.by_path(session)
    assert by_path["unanswered"].sum() == 0
    assert dict(by_path.select("path", "requests").iter_rows()) == {
        path: plain.count(path) for path in plain
    }
    assert by_path.filter(path="/missing")["client_errors"].to_list() == [3]
    assert by_path["path"][0] == "/fast"


METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "CONNECT"]


@pytest.mark.parametrize("transport", ["ring", "perf"])
@pytest.mark.parametrize("unix", [False, True])
def test_latencies_are_those_of_the_client(tmp_path, capfd, unix, transport):
    lines = [f"{method} /{method.lower()}/teapot HTTP/1.1" for method in METHODS]
    session, port = exchange(tmp_path, lines, unix=unix, transport=transport)
    inode, waits = json.loads(capfd.readouterr().out)
    asked, answered = (rows(session, message=kind) for kind in ("request", "answer"))
    for found in (asked, answered):
        assert found["method"].to_list() == METHODS
        assert found["path"].to_list() == [f"/{method.lower()}/teapot" for method in METHODS]
        assert set(found["inode"]) == {inode}
        assert set(found["remote_port"]) == {port}
    assert answered["status"].to_list() == [418] * len(METHODS)
    assert set(asked["direction"]) == {"send"}
    for latency, wait in zip(answered["latency"], waits, strict=True):
        assert 0.03e9 < latency <= wait
    assert set(frames.by_status(session)["role"]) == {"client"}


LONG = "/long" * 50
LINES = [
    "GET /plain?secret=1 HTTP/1.1",
    f"GET {LONG} HTTP/1.1",
    "GET /" + "a" * 126 + "?secret HTTP/1.0",
    "GET /\xff%20?# HTTP/1.1",
    "GET * HTTP/1.1",
    "GET http://a.example/b HTTP/1.1",
    "POST /x HTTP/1.1\r\nExpect: 100-continue",
    "GET /two HTTP/2.0",
    "get /lower HTTP/1.1",
    "GET nothing",
    "GETTING /x HTTP/1.1",
    "SET key 0 0 5",
]


@pytest.mark.parametrize("with_query", [False, True])
def test_what_is_kept(tmp_path, capfd, with_query):
    session, _ = exchange(tmp_path, LINES, with_query=with_query)
    capfd.readouterr()
    found = rows(session, message="request")
    more = ("?secret=1", "?", "?#") if with_query else ("", "", "")
    assert found["path"].to_list() == [
        f"/plain{more[0]}", LONG[:128], "/" + "a" * 126 + more[1], f"/\\xff%20{more[2]}", "*",
        "http://a.example/b", "/x",
    ]  # fmt: skip
    cut = [0, 1, int(with_query), 0, 0, 0, 0]
    assert found["truncated"].to_list() == cut
    # All are answered, once: what says 100 is no answer. Those of no request have no path.
    answers = rows(session, message="answer")
    assert answers["status"].to_list() == [200] * len(LINES)
    assert answers["path"].to_list() == found["path"].to_list() + [""] * (len(LINES) - 7)
    assert set(answers["latency"][7:]) == {0}
    if not with_query:
        assert not any("secret" in path for path in answers["path"])


def test_other_ports_are_not_looked_at(tmp_path, capfd):
    session, port = exchange(tmp_path, LINES, http_port=1)
    capfd.readouterr()
    assert port != 1
    assert session["http"].num_rows == 0
