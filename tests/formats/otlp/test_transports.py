"""One attempt over gRPC and over HTTP: what both do alike, against real receivers."""

import socket
import threading

import pytest
from otlp_messages import MAKERS, traces
from otlp_receivers import (
    TAKE_AND_STALL,
    GrpcReceiver,
    HttpReceiver,
    free_port,
    receiver,
)
from otlp_ways import once, transport

from workbench import __version__
from workbench.formats.otlp.sending.answer import Verdict
from workbench.formats.otlp.signals import SIGNALS

PROTOCOLS = ("grpc", "http/protobuf", "http/json")
every = pytest.mark.parametrize("protocol", PROTOCOLS)
both = pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
KINDS = {"http/protobuf": "application/x-protobuf", "http/json": "application/json"}


@every
@pytest.mark.parametrize("compression", ["none", "gzip"])
@pytest.mark.parametrize("signal", SIGNALS)
def test_requests_arrive(signal, compression, protocol):
    request = MAKERS[signal](0, 200)
    options = {"compression": compression, "headers": {"X-Tenant": "7"}}
    with receiver(protocol) as there:
        way = transport(there.endpoint, protocol, signal, **options)
        assert once(way, request).verdict is Verdict.TAKEN
    assert there.taken[signal] == dict.fromkeys(range(200), 1)
    ((_, headers, size),) = there.requests
    assert headers["x-tenant"] == "7"
    assert headers["user-agent"].split()[0] == f"ebpf-workbench/{__version__}"
    if protocol == "grpc":
        assert "grpc-python/" in headers["user-agent"]
        return
    assert headers["content-type"] == KINDS[protocol]
    assert headers.get("content-encoding") == (None if compression == "none" else "gzip")
    if compression == "gzip":
        assert size < len(request.body) / 2


@both
def test_a_large_request_arrives(protocol):
    request = traces(0, 2000, text=4000)
    assert len(request.body) > 8_000_000  # beyond gRPC's default limits
    with receiver(protocol) as there:
        got = once(transport(there.endpoint, protocol), request)
    assert got.verdict is Verdict.TAKEN
    assert there.taken["traces"].total() == 2000


@every
def test_ipv6(protocol):
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            pass
    except OSError as error:
        pytest.skip(f"there is no IPv6 here: {error}")
    with receiver(protocol, host="::1") as there:
        got = once(transport(there.endpoint, protocol), traces())
    assert "[::1]" in there.endpoint
    assert got.verdict is Verdict.TAKEN
    assert there.taken["traces"].total() == 10


@both
def test_no_answer_in_time(protocol):
    released = threading.Event()
    step = TAKE_AND_STALL if protocol != "grpc" else lambda *_: released.wait(30) and None
    with receiver(protocol, step) as there:
        got = once(transport(there.endpoint, protocol), traces(), timeout=0.2)
        released.set()
    assert (got.verdict, got.lost) == (Verdict.RETRY, True)
    assert ("DEADLINE_EXCEEDED" if protocol == "grpc" else "timed out") in got.why


@both
def test_nobody_there(protocol):
    got = once(transport(f"http://127.0.0.1:{free_port()}", protocol), traces())
    assert (got.verdict, got.lost, got.connected) == (Verdict.RETRY, False, False)
    assert "Connection refused" in got.why
    assert "0x" not in got.why


@both
def test_no_such_name(protocol):
    got = once(transport("http://no-such-host.invalid:4318", protocol), traces())
    assert (got.verdict, got.lost, got.connected) == (Verdict.RETRY, False, False)


@both
def test_a_receiver_that_comes_is_found_at_once(protocol):
    port = free_port()
    way = transport(f"http://127.0.0.1:{port}", protocol)
    assert way.export(traces().body, 10).verdict is Verdict.RETRY
    with receiver(protocol, port=port) as there:
        assert once(way, traces()).verdict is Verdict.TAKEN
    assert there.taken["traces"].total() == 10


@both
def test_abort_ends_an_attempt(protocol):
    arrived, released = threading.Event(), threading.Event()

    def stall(there, signal, message, _=None):
        there.take(signal.name, message)
        arrived.set()
        released.wait(30)
        return signal.response()() if protocol == "grpc" else None

    with receiver(protocol, stall) as there:
        way = transport(there.endpoint, protocol)
        answers = []
        thread = threading.Thread(
            target=lambda: answers.append(way.export(traces().body, None)), daemon=True
        )
        thread.start()
        assert arrived.wait(30)
        way.abort()
        thread.join(30)
        assert not thread.is_alive()
        assert answers[0].lost
        # Nothing begins any more, on a new connection either.
        assert once(way, traces(50, 1)).verdict is Verdict.RETRY
        assert there.taken["traces"] == dict.fromkeys(range(10), 1)
        released.set()


@both
class TestTls:
    def receiver(self, protocol, authority, name="server", **options):
        if protocol == "grpc":
            return GrpcReceiver(credentials=authority.server_credentials(name, **options))
        return HttpReceiver(context=authority.server_context(name, **options))

    def test_our_authority(self, protocol, authority):
        with self.receiver(protocol, authority) as there:
            got = once(transport(there.endpoint, protocol, certificate=authority.file), traces())
        assert got.verdict is Verdict.TAKEN
        assert there.taken["traces"].total() == 10

    @pytest.mark.parametrize("trust", ["stranger", "the system"])
    def test_an_unknown_authority(self, protocol, authority, stranger, trust):
        options = {"certificate": stranger.file} if trust == "stranger" else {}
        with self.receiver(protocol, authority) as there:
            got = once(transport(there.endpoint, protocol, **options), traces())
        assert (got.verdict, got.hopeless, got.connected) == (Verdict.REFUSED, True, False)
        assert "CERTIFICATE_VERIFY_FAILED" in got.why
        assert "certificate=" in got.advice
        assert not there.requests

    def test_a_certificate_for_another_name(self, protocol, authority):
        with self.receiver(protocol, authority, "elsewhere") as there:
            got = once(transport(there.endpoint, protocol, certificate=authority.file), traces())
        assert (got.verdict, got.hopeless) == (Verdict.REFUSED, True)
        if protocol != "grpc":
            assert "IP address mismatch" in got.why

    @pytest.mark.parametrize("which", ["ours", "none", "stranger"])
    def test_client_certificates(self, protocol, authority, stranger, which):
        options = {"certificate": authority.file}
        if which != "none":
            folder = (authority if which == "ours" else stranger).folder
            options["client_certificate"] = folder / "client.pem"
            options["client_key"] = folder / "client.key"
        with self.receiver(protocol, authority, clients=True) as there:
            got = once(transport(there.endpoint, protocol, **options), traces())
        assert (got.verdict is Verdict.TAKEN) == (which == "ours")
        assert there.taken["traces"].total() == (10 if which == "ours" else 0)
        assert len(there.requests) == (which == "ours")

    def test_no_tls_at_the_other_end(self, protocol):
        with receiver(protocol) as there:
            endpoint = there.endpoint.replace("http:", "https:")
            got = once(transport(endpoint, protocol), traces())
        assert (got.verdict, got.connected) == (Verdict.REFUSED, False)
        if protocol != "grpc":
            assert got.why.startswith("TLS:")
