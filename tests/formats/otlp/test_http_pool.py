"""Connections that are kept and cut, and a limit for a whole attempt."""

import socket
import threading
import time
from contextlib import suppress

import pytest
from otlp_chaos import HTTP
from otlp_messages import traces
from otlp_receivers import TAKE_AND_DROP, HttpReceiver, Wire

from workbench.formats.otlp.answer import Verdict
from workbench.formats.otlp.http import HttpTransport
from workbench.formats.otlp.http_pool import Connections
from workbench.formats.otlp.retry import Clock
from workbench.formats.otlp.settings import Options, resolve
from workbench.formats.otlp.signals import SIGNALS

LONG = 600
"""Seconds that an attempt may take here: less than the tests have in all."""


def destination(endpoint, **options):
    return resolve(SIGNALS["traces"], Options(endpoint=endpoint, **options), {})


def slowly(part):
    """Answer byte by byte until the other side has enough: each byte comes in time."""

    def act(handler, _signal, _message):
        with suppress(OSError):
            while True:
                handler.connection.sendall(part)
                time.sleep(0.01)

    return Wire(act)


@pytest.mark.parametrize(
    "part", [b"x-more: 1\r\n", b"1"], ids=["headers", "a number that does not end"]
)
def test_an_answer_that_comes_byte_by_byte(part):
    with HttpReceiver(Wire(lambda *_: None)) as there:
        there.script = [slowly(part)]
        way = HttpTransport(destination(there.endpoint), 1, Clock())
        got = way.export(traces().body, 0.3)
        # The next attempt has a connection, and a limit, of its own.
        again = way.export(traces(10, 5).body, LONG)
        way.close()
    assert (got.verdict, got.lost) == (Verdict.RETRY, True)
    assert again.verdict is Verdict.TAKEN


def test_a_body_that_comes_byte_by_byte():
    def act(handler, signal, message):
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\n"
        handler.connection.sendall(head + b"content-length: 100000\r\n\r\n")
        slowly(b"\n").act(handler, signal, message)

    with HttpReceiver(Wire(act)) as there:
        way = HttpTransport(destination(there.endpoint), 1, Clock())
        got = way.export(traces().body, 0.3)
        way.close()
    # Half an answer is none: neither success nor "something else listens there".
    assert (got.verdict, got.lost, got.hopeless) == (Verdict.RETRY, True, False)
    assert "timed out" in got.why


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
    assert not [t for t in threading.enumerate() if isinstance(t, threading.Timer) and t.is_alive()]


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
