"""One attempt over gRPC against the official service stubs."""

import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from otlp_messages import MAKERS, traces
from otlp_receivers import (
    Cutter,
    GrpcReceiver,
    HttpReceiver,
    abort,
    free_port,
    partial,
    take_and_cut,
)

from workbench import __version__
from workbench.formats.otlp.answer import Verdict
from workbench.formats.otlp.grpc import GrpcTransport
from workbench.formats.otlp.retry import GRPC_RETRYABLE
from workbench.formats.otlp.settings import Options, resolve
from workbench.formats.otlp.signals import SIGNALS


def transport(endpoint, signal="traces", **options):
    options = Options(endpoint=endpoint, protocol="grpc", **options)
    return GrpcTransport(resolve(SIGNALS[signal], options, {}))


def once(way, request, timeout=10.0):
    try:
        return way.export(way.prepare(request.body), timeout)
    finally:
        way.close()


@pytest.fixture
def receiver():
    with GrpcReceiver() as made:
        yield made


@pytest.mark.parametrize("compression", ["none", "gzip"])
@pytest.mark.parametrize("signal", SIGNALS)
def test_requests_arrive(receiver, signal, compression):
    way = transport(receiver.endpoint, signal, compression=compression, headers={"X-Tenant": "7"})
    assert once(way, MAKERS[signal](0, 200)).verdict is Verdict.TAKEN
    assert receiver.taken[signal] == dict.fromkeys(range(200), 1)
    ((_, headers, _),) = receiver.requests
    assert headers["x-tenant"] == "7"
    assert headers["user-agent"].startswith(f"ebpf-workbench/{__version__} grpc-python/")


def test_gzip_is_on_the_wire(receiver):
    """A forwarder between both counts the bytes."""
    sizes = {}
    for compression in ("none", "gzip"):
        with Cutter(receiver.port) as between:
            way = transport(between.endpoint, compression=compression)
            assert once(way, traces(0, 2000)).verdict is Verdict.TAKEN
            sizes[compression] = between.upward
    assert sizes["none"] > len(traces(0, 2000).body)
    assert sizes["gzip"] < sizes["none"] / 3


def test_a_large_request_arrives(receiver):
    request = traces(0, 2000, text=4000)
    assert len(request.body) > 8_000_000  # beyond gRPC's default limits
    assert once(transport(receiver.endpoint), request).verdict is Verdict.TAKEN
    assert receiver.taken["traces"].total() == 2000


def test_unix_sockets(tmp_path):
    receiver = GrpcReceiver().start()
    path = tmp_path / "s"
    receiver.server.stop(None).wait()
    server = grpc.server(ThreadPoolExecutor(1))
    receiver.server = server
    receiver._add(SIGNALS["traces"])
    server.add_insecure_port(f"unix:{path}")
    server.start()
    assert once(transport(f"unix:{path}"), traces()).verdict is Verdict.TAKEN
    receiver.stop()


def test_every_code():
    for code in grpc.StatusCode:
        if code is grpc.StatusCode.OK:
            continue
        with GrpcReceiver(abort(code.name, "because")) as receiver:
            got = once(transport(receiver.endpoint), traces())
        expected = (
            Verdict.RETRY
            if code.name in GRPC_RETRYABLE
            else Verdict.TOO_LARGE
            if code.name == "RESOURCE_EXHAUSTED"
            else Verdict.REFUSED
        )
        assert got.verdict is expected, code
        assert got.why == f"gRPC {code.name}: because"
        hopeless = code.name in {"UNIMPLEMENTED", "UNAUTHENTICATED", "PERMISSION_DENIED"}
        assert got.hopeless is hopeless
        # The receiver itself says that it could not; only these two leave it open.
        assert got.lost is (code.name in {"CANCELLED", "DEADLINE_EXCEEDED"})
        assert got.connected
        assert not got.sized


@pytest.mark.parametrize("code", ["UNAVAILABLE", "RESOURCE_EXHAUSTED"])
@pytest.mark.parametrize("delay", [0.0, 1.5, 30.0])
def test_retry_info(code, delay):
    with GrpcReceiver(abort(code, "busy", retry=delay)) as receiver:
        got = once(transport(receiver.endpoint), traces())
    assert (got.verdict, got.wait, got.lost) == (Verdict.RETRY, delay, False)


@pytest.mark.parametrize("details", [b"", b"\xff\xff", b"\x1a\x02\x0a\x00"])
def test_details_without_retry_info(details):
    with GrpcReceiver(abort("RESOURCE_EXHAUSTED", "quota", details=details)) as receiver:
        got = once(transport(receiver.endpoint), traces())
    assert (got.verdict, got.wait) == (Verdict.TOO_LARGE, None)


def test_partial_success():
    with GrpcReceiver(partial(4, "too old")) as receiver:
        got = once(transport(receiver.endpoint), traces())
    assert (got.verdict, got.rejected, got.message) == (Verdict.TAKEN, 4, "too old")


def test_a_receiver_with_a_limit():
    with GrpcReceiver(limit=1000) as receiver:
        got = once(transport(receiver.endpoint), traces(0, 200))
    assert (got.verdict, got.sized) == (Verdict.TOO_LARGE, True)


def test_an_answer_that_is_lost(receiver):
    with Cutter(receiver.port) as between:
        way = transport(between.endpoint)
        assert way.export(traces(0, 1).body, 10).verdict is Verdict.TAKEN
        receiver.script.append(take_and_cut(between))
        got = way.export(traces(1, 1).body, 10)
        assert (got.verdict, got.lost) == (Verdict.RETRY, True)
        # The same transport connects anew.
        assert once(way, traces(2, 1)).verdict is Verdict.TAKEN
    assert receiver.taken["traces"] == dict.fromkeys(range(3), 1)


def test_no_answer_in_time(receiver):
    released = threading.Event()
    receiver.script.append(lambda *_: released.wait(30) and None)
    got = once(transport(receiver.endpoint), traces(), timeout=0.2)
    released.set()
    assert (got.verdict, got.lost) == (Verdict.RETRY, True)
    assert "DEADLINE_EXCEEDED" in got.why


def test_nobody_there():
    way = transport(f"http://127.0.0.1:{free_port()}")
    got = once(way, traces())
    assert (got.verdict, got.lost, got.connected) == (Verdict.RETRY, False, False)
    assert "Connection refused" in got.why


def test_no_such_name():
    got = once(transport("http://no-such-host.invalid:4317"), traces())
    assert (got.verdict, got.lost, got.connected) == (Verdict.RETRY, False, False)


def test_a_receiver_that_comes_is_found_at_once():
    port = free_port()
    way = transport(f"http://127.0.0.1:{port}")
    assert way.export(traces().body, 10).verdict is Verdict.RETRY
    with GrpcReceiver(port=port) as receiver:
        assert once(way, traces()).verdict is Verdict.TAKEN
    assert receiver.taken["traces"].total() == 10


def test_http_1_at_the_other_end():
    with HttpReceiver() as receiver:
        got = once(transport(receiver.endpoint), traces())
    assert (got.verdict, got.lost, got.connected) == (Verdict.RETRY, False, False)


def test_the_port_of_http_is_told():
    way = transport("http://127.0.0.1:4318")
    assert "http/protobuf" in way._advice()
    way.close()


def test_a_listener_that_closes():
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=lambda: server.accept()[0].close(), daemon=True)
        thread.start()
        got = once(transport(f"http://127.0.0.1:{server.getsockname()[1]}"), traces())
    assert (got.verdict, got.lost) == (Verdict.RETRY, False)


def test_an_answer_that_is_none_of_otlp():
    def handler(_self, details):
        return grpc.unary_unary_rpc_method_handler(lambda *_: b"\x0a\xff")

    kind = type("Handler", (grpc.GenericRpcHandler,), {"service": handler})
    server = grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers((kind(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    got = once(transport(f"http://127.0.0.1:{port}"), traces())
    server.stop(None).wait()
    assert (got.verdict, got.hopeless) == (Verdict.REFUSED, True)


def test_abort_ends_an_attempt(receiver):
    arrived, released = threading.Event(), threading.Event()

    def stall(*_):
        arrived.set()
        released.wait(30)

    receiver.script.append(stall)
    way = transport(receiver.endpoint)
    answers = []
    thread = threading.Thread(
        target=lambda: answers.append(way.export(traces().body, None)), daemon=True
    )
    thread.start()
    assert arrived.wait(30)
    way.abort()
    thread.join(30)
    released.set()
    assert not thread.is_alive()
    assert answers[0].lost
    assert once(way, traces(50, 1)).verdict is Verdict.RETRY
    assert 50 not in receiver.taken["traces"]


class TestTls:
    def test_our_authority(self, authority):
        with GrpcReceiver(credentials=authority.server_credentials()) as receiver:
            got = once(transport(receiver.endpoint, certificate=authority.file), traces())
        assert got.verdict is Verdict.TAKEN
        assert receiver.taken["traces"].total() == 10

    @pytest.mark.parametrize("trust", ["stranger", "the system"])
    def test_an_unknown_authority(self, authority, stranger, trust):
        options = {"certificate": stranger.file} if trust == "stranger" else {}
        with GrpcReceiver(credentials=authority.server_credentials()) as receiver:
            got = once(transport(receiver.endpoint, **options), traces())
        assert (got.verdict, got.hopeless, got.connected) == (Verdict.REFUSED, True, False)
        assert "CERTIFICATE_VERIFY_FAILED" in got.why
        assert "certificate=" in got.advice
        assert not receiver.requests

    def test_a_certificate_for_another_name(self, authority):
        credentials = authority.server_credentials("elsewhere")
        with GrpcReceiver(credentials=credentials) as receiver:
            got = once(transport(receiver.endpoint, certificate=authority.file), traces())
        assert (got.verdict, got.hopeless) == (Verdict.REFUSED, True)

    def test_a_client_certificate(self, authority):
        credentials = authority.server_credentials(clients=True)
        with GrpcReceiver(credentials=credentials) as receiver:
            way = transport(
                receiver.endpoint,
                certificate=authority.file,
                client_certificate=authority.folder / "client.pem",
                client_key=authority.folder / "client.key",
            )
            assert once(way, traces()).verdict is Verdict.TAKEN

    def test_a_missing_client_certificate(self, authority):
        credentials = authority.server_credentials(clients=True)
        with GrpcReceiver(credentials=credentials) as receiver:
            got = once(transport(receiver.endpoint, certificate=authority.file), traces())
        assert got.verdict is not Verdict.TAKEN
        assert not receiver.requests

    def test_no_tls_at_the_other_end(self, receiver):
        endpoint = receiver.endpoint.replace("http:", "https:")
        got = once(transport(endpoint), traces())
        assert (got.verdict, got.connected) == (Verdict.REFUSED, False)
