"""What the kernel counts of HTTP, against programs that know what they did, and single events."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from urllib.request import urlopen

import polars as pl
import pytest
from http_exchange import exchange

import workbench as wb
from workbench import demo
from workbench.frames import http

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("nothing_left")]

ROOM = 16384
"""Keys that the program counts at most, ``bpf/http.bpf.c``."""
SLOW_API = Path(demo.__file__).with_name("slow-api")
ASKED = [
    "GET /plain?secret=1 HTTP/1.1", "GET /plain?secret=2 HTTP/1.1", "POST /plain HTTP/1.1",
    "GET /teapot HTTP/1.1", "GET /teapot HTTP/1.1", "GET /\xff HTTP/1.1", r"GET /\xff HTTP/1.1",
    "PUT /" + "a" * 200 + " HTTP/1.1", "not HTTP at all",
]  # fmt: skip
# Method, path, status, answers. The server answers what it is not asked in HTTP, too.
WANTED = {
    ("GET", "/plain", 200, 2),
    ("POST", "/plain", 200, 1),
    ("GET", "/teapot", 418, 2),
    ("GET", r"/\xff", 200, 1),
    ("GET", r"/\\xff", 200, 1),
    ("PUT", "/" + "a" * 127, 200, 1),
    ("none", "", 200, 1),
}


def last(session):
    found = session["http_agg"].polars()
    losses = session.losses.filter(kind="http")
    kept = found["messages"].sum()
    assert losses["delivered"].sum() == kept
    assert losses["produced"].sum() == kept + losses["dropped"].sum()
    return found.with_columns(
        pl.col("role", "method").cast(pl.String),
        pl.col("latency_sum", "latency_max").cast(pl.Int64),
    )


@pytest.mark.parametrize("unix", [False, True])
@pytest.mark.parametrize("aggregate", [False, True])
def test_counts_are_those_of_the_client_and_of_events(tmp_path, capfd, aggregate, unix):
    session, port = exchange(tmp_path, ASKED, unix=unix, aggregate=aggregate)
    _, waits = json.loads(capfd.readouterr().out)
    assert next(iter(session.tables)) == ("http_agg" if aggregate else "http")
    found = http.by_status(session)
    assert set(found["role"]) == {"client"}
    assert set(found.select("method", "path", "status", "answers").iter_rows()) == WANTED
    whole = http.by_path(session)
    assert dict(whole.select("path", "requests").group_by("path").sum().iter_rows()) == {
        "/plain": 3, "/teapot": 2, r"/\xff": 1, r"/\\xff": 1, "/" + "a" * 127: 1, "": 0,
    }  # fmt: skip
    assert whole["client_errors"].sum() == 2
    (peer,) = http.by_peer(session).iter_rows(named=True)
    assert (peer["remote_address"], peer["port"]) == (("::", 0) if unix else ("127.0.0.1", port))
    assert (peer["requests"], peer["answers"], peer["unanswered"]) == (8, 9, 0)
    assert 0.03e9 < peer["max"].total_seconds() * 1e9 <= max(waits[:8]) + 1000  # in µs
    (tea,) = found.filter(path="/teapot").iter_rows(named=True)
    assert 0.03 < tea["max"].total_seconds() <= max(waits[3:5]) / 1e9
    assert 0.015 < tea["p50"].total_seconds() <= tea["max"].total_seconds()
    assert found.filter(method="none")["max"].to_list() == [None]


def test_sums_and_histograms(tmp_path, capfd):
    session, _ = exchange(tmp_path, ASKED, aggregate=True)
    _, waits = json.loads(capfd.readouterr().out)
    rows = last(session)
    assert rows.select("requests", "answers", "answered", "truncated").sum().row(0) == (8, 9, 8, 2)
    assert 8 * 0.03e9 < rows["latency_sum"].sum() <= sum(waits[:8])
    sent = sum(len(line) + len("\r\nHost: here\r\n\r\n") for line in ASKED[:-1])
    assert rows.filter(status=0)["bytes"].sum() == sent
    for row in rows.iter_rows(named=True):
        assert sum(row["latency_hist"]) == row["answered"]
        assert bool(row["requests"]) != bool(row["answers"])
        slots = [n for n, count in enumerate(row["latency_hist"]) if count]
        assert not slots or 2 ** slots[-1] <= row["latency_max"] < 2 ** (slots[-1] + 1)


def test_a_server_counts_what_it_served(tmp_path):
    paths = ["/fast"] * 5 + ["/chatty"] * 2
    with subprocess.Popen([SLOW_API, "serve"], stdout=subprocess.PIPE, text=True) as child:
        try:
            port = int(child.stdout.readline().rsplit(":", 1)[1])
            with wb.capture("http", pid=child.pid, output=tmp_path / "s.wb", aggregate=True):
                for path in paths:
                    urlopen(f"http://127.0.0.1:{port}{path}").read()
            session = wb.open(tmp_path / "s.wb")
        finally:
            child.terminate()
    assert set(last(session)["pid"]) == {child.pid}
    found = http.by_status(session)
    assert set(found.select("role", "method", "status").iter_rows()) == {("server", "GET", 200)}
    assert dict(found.select("path", "answers").iter_rows()) == Counter(paths)
    (peer,) = http.by_peer(session).iter_rows(named=True)
    assert (peer["port"], peer["requests"], peer["unanswered"]) == (port, 7, 0)


# Asks for paths, each once, and then for the first ones again. It hears them itself.
MANY = """
import socket
one, two = socket.socketpair()
for n in [*range({paths}), *range({again})]:
    one.send(b"GET /%d HTTP/1.1\\r\\n\\r\\n" % n)
    two.recv(100)
"""


def test_what_finds_no_room_is_counted_exactly(tmp_path):
    room, again = ROOM // 2, 200  # each path has a row on either side
    paths = room + 250
    command = [sys.executable, "-c", MANY.format(paths=paths, again=again)]
    session = wb.capture("http", command=command, output=tmp_path / "s.wb", aggregate=True)
    rows = last(session)
    losses = session.losses.filter(kind="http")
    assert losses["produced"].sum() == 2 * (paths + again)
    assert losses["dropped"].sum() == losses["map_full"].sum() == 2 * (paths - room)
    for role in ("client", "server"):
        mine = rows.filter(role=role)
        assert set(mine["path"]) == {f"/{n}" for n in range(room)}
        twice = {f"/{n}" for n in range(again)}
        assert set(mine.filter(messages=2)["path"]) == twice
        assert set(mine.filter(~pl.col("path").is_in(twice))["messages"]) == {1}
