"""Connections that are kept and cut, and a limit for a whole attempt."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from contextlib import suppress
from typing import ClassVar

import pytest
from otlp_chaos import HTTP
from otlp_messages import traces
from otlp_receivers import TAKE_AND_DROP, HttpReceiver, Wire

from workbench.formats.otlp.sending import http, http_pool
from workbench.formats.otlp.sending.answer import Verdict
from workbench.formats.otlp.sending.http import HttpTransport
from workbench.formats.otlp.sending.http_pool import Connections
from workbench.formats.otlp.sending.retry import Clock
from workbench.formats.otlp.sending.settings import Options, resolve
from workbench.formats.otlp.signals import SIGNALS

LONG = 600
"""Seconds that an attempt may take here: less than the tests have in all."""


def destination(endpoint, **options):
    return resolve(SIGNALS["traces"], Options(endpoint=endpoint, **options), {})


class Timer:
    """A timer that the receiver ends, so that no test depends on how fast this machine is."""

    started: ClassVar[list[Timer]] = []

    def __init__(self, _seconds, function):
        self.ring = function
        self.daemon = False

    def start(self):
        self.started.append(self)

    def cancel(self):
        self.started.remove(self)


@pytest.fixture
def timers(monkeypatch):
    Timer.started = []
    monkeypatch.setattr(http_pool.threading, "Timer", Timer)
    yield Timer.started
    assert not Timer.started


def trickling(head, part, timers):
    """Answer byte by byte, each in time, until the time for all of it is over."""

    def act(handler, _signal, _message):
        handler.connection.sendall(head)
        with suppress(OSError):
            for number in itertools.count():
                handler.connection.sendall(part)
                if number == 3:
                    timers[0].ring()

    return Wire(act)


HEAD = b"HTTP/1.1 200 OK\r\n"
BODY = HEAD + b"content-type: application/x-protobuf\r\ncontent-length: 1000000000\r\n\r\n"


@pytest.mark.parametrize(
    ("head", "part"),
    [(b"", b"1"), (HEAD, b"x: 1\r\n"), (BODY, b"\n")],
    ids=["no status", "headers", "body"],
)
def test_an_answer_that_comes_byte_by_byte(head, part, timers, monkeypatch):
    monkeypatch.setattr("http.client._MAXHEADERS", 10**9)
    monkeypatch.setattr("http.client._MAXLINE", 10**9)
    monkeypatch.setattr(http, "MAX_ANSWER", 10**9)
    with HttpReceiver(trickling(head, part, timers)) as there:
        way = HttpTransport(destination(there.endpoint), 1, Clock())
        got = way.export(traces().body, LONG)
        # The next attempt has a connection, and a limit, of its own.
        again = way.export(traces(10, 5).body, LONG)
        way.close()
    # Half an answer is none: neither success nor "something else listens there".
    assert (got.verdict, got.lost, got.hopeless) == (Verdict.RETRY, True, False)
    assert "timed out after 600 s" in got.why
    assert again.verdict is Verdict.TAKEN


def test_a_limit_in_real_time():
    stop = threading.Event()

    def act(handler, _signal, _message):
        with suppress(OSError):
            while not stop.wait(0.01):
                handler.connection.sendall(b"1")

    with HttpReceiver(Wire(act)) as there:
        way = HttpTransport(destination(there.endpoint), 1, Clock())
        assert way.export(traces().body, 0.3).verdict is Verdict.RETRY
        way.close()
        stop.set()


def test_a_receiver_that_reads_byte_by_byte(authority):
    """Over TLS, where each part that is written has a time-out of its own."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def read():
            with suppress(OSError):
                connection, _ = server.accept()
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                with authority.server_context().wrap_socket(connection, server_side=True) as own:
                    while not stop.wait(0.02) and own.recv(1):
                        pass

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        endpoint = f"https://127.0.0.1:{server.getsockname()[1]}"
        way = HttpTransport(destination(endpoint, certificate=authority.file), 1, Clock())
        got = way.export(traces(0, 3000, text=5000).body, 1.0)
        way.close()
        stop.set()
        reader.join(30)
    assert (got.verdict, got.lost) == (Verdict.RETRY, False)


def test_a_deadline_that_did_not_pass_cuts_nothing():
    with HttpReceiver(HTTP["chunked"], HTTP["zipped"], HTTP["continued"]) as there:
        way = HttpTransport(destination(there.endpoint), 1, Clock())
        for start in range(0, 40, 10):
            answer = way.export(traces(start, 10).body, LONG)
            assert answer.verdict is Verdict.TAKEN
        way.close()
        assert there.connections == 1
    assert there.taken["traces"] == dict.fromkeys(range(40), 1)
    left = [each for each in threading.enumerate() if isinstance(each, threading.Timer)]
    for each in left:
        each.join(60)  # ten times less than it would wait, had it not been cancelled
    assert not any(each.is_alive() for each in left)


def test_deadlines_end_with_their_attempt():
    connections = Connections(destination("http://127.0.0.1:1"), 1)
    with connections.deadline(0.01) as deadline:
        pass
    time.sleep(0.05)
    assert not deadline.passed
    with connections.deadline(None) as deadline:
        assert not deadline.passed


def test_open_connections_are_known():
    with HttpReceiver(None, TAKE_AND_DROP) as there:
        connections = Connections(destination(there.endpoint), 2)
        post = {"method": "POST", "url": connections.target, "body": traces().body}
        headers = {"content-type": "application/x-protobuf"}
        with connections.deadline(LONG):
            assert connections.pool.urlopen(**post, headers=headers).status == 200
        assert len(connections._open) == 1
        with pytest.raises(Exception, match="aborted"):
            connections.pool.urlopen(**post, headers=headers)
        assert not connections._open
        connections.abort()
        with pytest.raises(Exception, match="cancelled"):
            connections.pool.urlopen(**post, headers=headers)
        connections.close()
    assert there.taken["traces"].total() == 20
