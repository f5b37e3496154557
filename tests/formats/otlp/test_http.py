"""One attempt over HTTP against real receivers."""

import socket
import threading
from contextlib import suppress

import pytest
import urllib3
from otlp_messages import MAKERS, traces
from otlp_receivers import (
    DROP_READ,
    DROP_UNREAD,
    TAKE_AND_DROP,
    TAKE_AND_STALL,
    HttpReceiver,
    Reply,
    free_port,
)

from workbench import __version__
from workbench.formats.otlp.answer import Verdict
from workbench.formats.otlp.http import HttpTransport
from workbench.formats.otlp.retry import Clock
from workbench.formats.otlp.settings import Options, resolve
from workbench.formats.otlp.signals import SIGNALS


def transport(endpoint, signal="traces", connections=1, **options):
    to = resolve(SIGNALS[signal], Options(endpoint=endpoint, **options), {})
    return HttpTransport(to, connections, Clock())


def once(way, request, timeout=10.0):
    try:
        return way.export(way.prepare(request.body), timeout)
    finally:
        way.close()


@pytest.fixture
def receiver():
    with HttpReceiver() as made:
        yield made


@pytest.mark.parametrize("compression", ["none", "gzip"])
@pytest.mark.parametrize("protocol", ["http/protobuf", "http/json"])
@pytest.mark.parametrize("signal", SIGNALS)
def test_requests_arrive(receiver, signal, protocol, compression):
    request = MAKERS[signal](0, 200)
    way = transport(
        receiver.endpoint,
        signal,
        protocol=protocol,
        compression=compression,
        headers={"X-Tenant": "7"},
    )
    assert once(way, request).verdict is Verdict.TAKEN
    assert receiver.taken[signal] == dict.fromkeys(range(200), 1)
    ((_, headers, size),) = receiver.requests
    assert headers["x-tenant"] == "7"
    assert headers["user-agent"] == f"ebpf-workbench/{__version__}"
    kind = "application/json" if protocol == "http/json" else "application/x-protobuf"
    assert headers["content-type"] == kind
    assert headers.get("content-encoding") == (None if compression == "none" else "gzip")
    if compression == "gzip":
        assert size < len(request.body) / 2


def test_a_connection_is_kept(receiver):
    way = transport(receiver.endpoint)
    for start in range(5):
        assert way.export(traces(start, 1).body, 10).verdict is Verdict.TAKEN
    way.close()
    assert receiver.connections == 1


def test_a_large_request_arrives(receiver):
    request = traces(0, 2000, text=2000)
    assert once(transport(receiver.endpoint), request).verdict is Verdict.TAKEN
    assert receiver.taken["traces"].total() == 2000


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


def test_no_answer_in_time():
    with HttpReceiver(TAKE_AND_STALL) as receiver:
        got = once(transport(receiver.endpoint), traces(), timeout=0.2)
    assert (got.verdict, got.lost) == (Verdict.RETRY, True)
    assert "timed out" in got.why


def test_nobody_there():
    got = once(transport(f"http://127.0.0.1:{free_port()}"), traces())
    assert (got.verdict, got.lost, got.connected) == (Verdict.RETRY, False, False)
    assert "Connection refused" in got.why
    assert "0x" not in got.why


def test_no_such_name():
    got = once(transport("http://no-such-host.invalid:4318"), traces())
    assert (got.verdict, got.lost, got.connected) == (Verdict.RETRY, False, False)


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


def test_abort_ends_an_attempt():
    with HttpReceiver(TAKE_AND_STALL) as receiver:
        way = transport(receiver.endpoint)
        answers = []
        thread = threading.Thread(
            target=lambda: answers.append(way.export(traces().body, None)), daemon=True
        )
        thread.start()
        assert receiver.stalled.wait(30)
        way.abort()
        thread.join(30)
        assert not thread.is_alive()
        assert answers[0].lost
        # Nothing begins any more, on a new connection either.
        assert once(way, traces(50, 1)).verdict is Verdict.RETRY
    assert receiver.taken["traces"] == dict.fromkeys(range(10), 1)


class TestTls:
    def test_our_authority(self, authority):
        with HttpReceiver(context=authority.server_context()) as receiver:
            got = once(transport(receiver.endpoint, certificate=authority.file), traces())
        assert got.verdict is Verdict.TAKEN
        assert receiver.taken["traces"].total() == 10

    @pytest.mark.parametrize("trust", ["stranger", "the system"])
    def test_an_unknown_authority(self, authority, stranger, trust):
        options = {"certificate": stranger.file} if trust == "stranger" else {}
        with HttpReceiver(context=authority.server_context()) as receiver:
            got = once(transport(receiver.endpoint, **options), traces())
        assert (got.verdict, got.hopeless, got.connected) == (Verdict.REFUSED, True, False)
        assert "CERTIFICATE_VERIFY_FAILED" in got.why
        assert "certificate=" in got.advice
        assert not receiver.requests

    def test_a_certificate_for_another_name(self, authority):
        context = authority.server_context("elsewhere")
        with HttpReceiver(context=context) as receiver:
            got = once(transport(receiver.endpoint, certificate=authority.file), traces())
        assert got.verdict is Verdict.REFUSED
        assert "IP address mismatch" in got.why

    def test_a_client_certificate(self, authority):
        with HttpReceiver(context=authority.server_context(clients=True)) as receiver:
            way = transport(
                receiver.endpoint,
                certificate=authority.file,
                client_certificate=authority.folder / "client.pem",
                client_key=authority.folder / "client.key",
            )
            assert once(way, traces()).verdict is Verdict.TAKEN

    @pytest.mark.parametrize("which", ["none", "stranger"])
    def test_a_wrong_client_certificate(self, authority, stranger, which):
        options = {"certificate": authority.file}
        if which == "stranger":
            options["client_certificate"] = stranger.folder / "client.pem"
            options["client_key"] = stranger.folder / "client.key"
        with HttpReceiver(context=authority.server_context(clients=True)) as receiver:
            got = once(transport(receiver.endpoint, **options), traces())
        assert got.verdict is not Verdict.TAKEN
        assert not receiver.taken["traces"]

    def test_no_tls_at_the_other_end(self, receiver):
        endpoint = receiver.endpoint.replace("http:", "https:")
        got = once(transport(endpoint), traces())
        assert (got.verdict, got.connected) == (Verdict.REFUSED, False)
        assert got.why.startswith("TLS:")
