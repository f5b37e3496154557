"""One attempt over gRPC against the official service stubs."""

import functools
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from otlp_messages import traces
from otlp_receivers import (
    Cutter,
    GrpcReceiver,
    HttpReceiver,
    abort,
    partial,
    take_and_cut,
)
from otlp_ways import once, transport

from workbench.formats.otlp.sending.answer import Verdict
from workbench.formats.otlp.sending.retry import GRPC_RETRYABLE
from workbench.formats.otlp.signals import SIGNALS

over_grpc = functools.partial(transport, protocol="grpc")


@pytest.fixture
def receiver():
    with GrpcReceiver() as made:
        yield made


def test_gzip_is_on_the_wire(receiver):
    """A forwarder between both counts the bytes."""
    sizes = {}
    for compression in ("none", "gzip"):
        with Cutter(receiver.port) as between:
            way = over_grpc(between.endpoint, compression=compression)
            assert once(way, traces(0, 2000)).verdict is Verdict.TAKEN
            sizes[compression] = between.upward
    assert sizes["none"] > len(traces(0, 2000).body)
    assert sizes["gzip"] < sizes["none"] / 3


def test_unix_sockets(tmp_path):
    receiver = GrpcReceiver().start()
    path = tmp_path / "s"
    receiver.server.stop(None).wait()
    server = grpc.server(ThreadPoolExecutor(1))
    receiver.server = server
    receiver._add(SIGNALS["traces"])
    server.add_insecure_port(f"unix:{path}")
    server.start()
    assert once(over_grpc(f"unix:{path}"), traces()).verdict is Verdict.TAKEN
    receiver.stop()


def test_every_code():
    for code in grpc.StatusCode:
        if code is grpc.StatusCode.OK:
            continue
        with GrpcReceiver(abort(code.name, "because")) as receiver:
            got = once(over_grpc(receiver.endpoint), traces())
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
        got = once(over_grpc(receiver.endpoint), traces())
    assert (got.verdict, got.wait, got.lost) == (Verdict.RETRY, delay, False)


@pytest.mark.parametrize("details", [b"", b"\xff\xff", b"\x1a\x02\x0a\x00"])
def test_details_without_retry_info(details):
    with GrpcReceiver(abort("RESOURCE_EXHAUSTED", "quota", details=details)) as receiver:
        got = once(over_grpc(receiver.endpoint), traces())
    assert (got.verdict, got.wait) == (Verdict.TOO_LARGE, None)


def test_partial_success():
    with GrpcReceiver(partial(4, "too old")) as receiver:
        got = once(over_grpc(receiver.endpoint), traces())
    assert (got.verdict, got.rejected, got.message) == (Verdict.TAKEN, 4, "too old")


def test_a_receiver_with_a_limit():
    with GrpcReceiver(limit=1000) as receiver:
        got = once(over_grpc(receiver.endpoint), traces(0, 200))
    assert (got.verdict, got.sized) == (Verdict.TOO_LARGE, True)


def test_an_answer_that_is_lost(receiver):
    with Cutter(receiver.port) as between:
        way = over_grpc(between.endpoint)
        assert way.export(traces(0, 1).body, 10).verdict is Verdict.TAKEN
        receiver.script.append(take_and_cut(between))
        got = way.export(traces(1, 1).body, 10)
        assert (got.verdict, got.lost) == (Verdict.RETRY, True)
        # The same transport connects anew.
        assert once(way, traces(2, 1)).verdict is Verdict.TAKEN
    assert receiver.taken["traces"] == dict.fromkeys(range(3), 1)


def test_http_1_at_the_other_end():
    with HttpReceiver() as receiver:
        got = once(over_grpc(receiver.endpoint), traces())
    assert (got.verdict, got.lost, got.connected) == (Verdict.RETRY, False, False)


def test_the_port_of_http_is_told():
    way = over_grpc("http://127.0.0.1:4318")
    assert "http/protobuf" in way._advice()
    way.close()


def test_a_listener_that_closes():
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=lambda: server.accept()[0].close(), daemon=True)
        thread.start()
        got = once(over_grpc(f"http://127.0.0.1:{server.getsockname()[1]}"), traces())
    assert (got.verdict, got.lost) == (Verdict.RETRY, False)


def test_an_answer_that_is_none_of_otlp():
    def handler(_self, details):
        return grpc.unary_unary_rpc_method_handler(lambda *_: b"\x0a\xff")

    kind = type("Handler", (grpc.GenericRpcHandler,), {"service": handler})
    server = grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers((kind(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    got = once(over_grpc(f"http://127.0.0.1:{port}"), traces())
    server.stop(None).wait()
    assert (got.verdict, got.hopeless) == (Verdict.REFUSED, True)


def test_an_answer_that_is_too_large_is_no_request_that_is(receiver):
    """Halves would be taken a second time."""
    receiver.script.append(partial(0, "x" * (5 << 20)))
    got = once(over_grpc(receiver.endpoint), traces())
    assert (got.verdict, got.lost) == (Verdict.REFUSED, True)
    assert "larger than max" in got.why
    assert receiver.taken["traces"].total() == 10


@pytest.mark.parametrize(
    ("code", "text", "lost"),
    [
        ("UNAVAILABLE", "Received http2 header with status: 502", True),
        ("UNAVAILABLE", "Received http2 header with status: 503", False),
        ("UNAVAILABLE", "upstream connect error or disconnect/reset before headers", True),
        ("UNAVAILABLE", "reset before headers. reset reason: connection failure", False),
        ("INTERNAL", "Received RST_STREAM with error code 2", True),
        ("INTERNAL", "no such table", False),
    ],
)
def test_streams_that_broke(code, text, lost):
    with GrpcReceiver(abort(code, text)) as receiver:
        got = once(over_grpc(receiver.endpoint), traces())
    assert got.lost is lost
    assert got.verdict is (Verdict.RETRY if code == "UNAVAILABLE" else Verdict.REFUSED)
