"""One attempt over HTTP against real receivers."""

import socket
import threading
from contextlib import suppress

import pytest
import urllib3
from otlp_messages import traces
from otlp_receivers import (
    DROP_READ,
    DROP_UNREAD,
    TAKE_AND_DROP,
    HttpReceiver,
    Reply,
)
from otlp_ways import once, transport

from workbench.formats.otlp.sending.answer import Verdict


@pytest.fixture
def receiver():
    with HttpReceiver() as made:
        yield made


def test_a_connection_is_kept(receiver):
    way = transport(receiver.endpoint)
    for start in range(5):
        assert way.export(traces(start, 1).body, 10).verdict is Verdict.TAKEN
    way.close()
    assert receiver.connections == 1


def test_what_the_receiver_answers():
    with HttpReceiver(Reply(429, "slow", retry_after="30"), Reply(400, "what")) as receiver:
        way = transport(receiver.endpoint)
        first = way.export(traces().body, 10)
        second = once(way, traces())
    assert (first.verdict, first.wait, first.lost) == (Verdict.RETRY, 30, False)
    assert (second.verdict, second.why) == (Verdict.REFUSED, "HTTP 400 Bad Request: what")


@pytest.mark.parametrize("step", [DROP_READ, TAKE_AND_DROP])
def test_an_answer_that_is_lost(step):
    with HttpReceiver(step) as receiver:
        got = once(transport(receiver.endpoint), traces())
    assert (got.verdict, got.lost) == (Verdict.RETRY, True)
    assert "no answer" in got.why


def test_a_large_request_that_is_not_read_was_not_delivered():
    with HttpReceiver(DROP_UNREAD) as receiver:
        got = once(transport(receiver.endpoint), traces(0, 4000, text=5000))
    assert (got.verdict, got.lost) == (Verdict.RETRY, False)


def test_the_port_of_grpc_is_told():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # not listening: refused
        way = transport("http://127.0.0.1:4317")
        answer = way._no_answer(urllib3.exceptions.ProtocolError("x"), False)
        way.close()
    assert "protocol='grpc'" in answer.advice


def test_a_listener_that_speaks_something_else():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def talk():
            connection, _ = server.accept()
            connection.recv(1 << 16)
            connection.sendall(b"SSH-2.0-OpenSSH\r\n")
            connection.close()

        threading.Thread(target=talk, daemon=True).start()
        got = once(transport(f"http://127.0.0.1:{server.getsockname()[1]}"), traces())
    assert got.verdict is Verdict.RETRY


def test_an_endless_answer_is_not_read():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def talk():
            connection, _ = server.accept()
            with connection, suppress(OSError):
                connection.recv(1 << 16)
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                while True:
                    connection.sendall(bytes(1 << 16))

        talker = threading.Thread(target=talk, daemon=True)
        talker.start()
        got = once(transport(f"http://127.0.0.1:{server.getsockname()[1]}"), traces())
        talker.join(30)
    assert not talker.is_alive()
    assert got.verdict is Verdict.REFUSED


def test_redirects_are_not_followed(receiver):
    with HttpReceiver(Reply(307, location=receiver.endpoint)) as first:
        got = once(transport(first.endpoint, headers={"authorization": "key"}), traces())
    assert got.verdict is Verdict.REFUSED
    assert receiver.endpoint in got.why
    assert not receiver.requests
