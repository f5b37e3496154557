"""Is a receiver there? Asked of receivers, and of none."""

import pytest
from otlp_receivers import GrpcReceiver, HttpReceiver, Reply, abort, free_port

from workbench.errors import DestinationError, ExportError, RefusedError, UnreachableError
from workbench.formats.otlp.sending import connection
from workbench.formats.otlp.signals import SIGNALS


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf", "http/json"])
def test_a_receiver_is_there_and_nothing_arrives(protocol):
    with (GrpcReceiver if protocol == "grpc" else HttpReceiver)() as there:
        report = connection.test_connection(there.endpoint, protocol=protocol)
    assert report.ok
    assert report.check() is report
    assert report.signals == tuple(SIGNALS)
    assert {name for name, _, _ in there.requests} == set(SIGNALS)
    empty = len("{}") if protocol == "http/json" else 0
    assert {size for _, _, size in there.requests} == {empty}
    assert not any(there.taken.values())
    assert "takes them" in repr(report)
    assert all(0 < answer.seconds < 60 for answer in report.answers)


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_nobody_is_there(protocol):
    port = free_port()
    report = connection.test_connection(f"http://127.0.0.1:{port}", protocol=protocol)
    assert not report.ok
    assert report.signals == ()
    assert all(isinstance(answer.error, UnreachableError) for answer in report.answers)
    text = repr(report)
    assert "refused" in text
    assert str(port) in text
    with pytest.raises(UnreachableError):
        report.check()


def test_a_receiver_without_profiles():
    with GrpcReceiver(abort("UNIMPLEMENTED", "unknown service <Profiles>")) as there:
        report = connection.test_connection(there.endpoint, signals=["profiles"], protocol="grpc")
        assert isinstance(report.answers[0].error, RefusedError)
        assert "leave it out" in repr(report)
        assert "&lt;Profiles&gt;" in report._repr_html_()
        assert connection.test_connection(there.endpoint, protocol="grpc").ok


def test_a_busy_receiver_is_not_asked_twice():
    with HttpReceiver(Reply(503, "busy", retry_after="600")) as there:
        report = connection.test_connection(there.endpoint, signals=["traces"])
    assert isinstance(report.answers[0].error, RefusedError)
    assert "busy" in report.answers[0].error.why
    assert len(there.requests) == 1


def test_the_key_is_sent():
    with HttpReceiver() as there:
        connection.test_connection(there.endpoint, signals=["logs"], headers="authorization=me")
    assert there.requests[0][1]["authorization"] == "me"


def test_what_has_no_meaning_is_refused():
    with pytest.raises(DestinationError):
        connection.test_connection("nowhere")
    with pytest.raises(ExportError, match="no colour"):
        connection.test_connection("http://127.0.0.1:1", colour="red")
    with pytest.raises(ExportError, match="no signal"):
        connection.test_connection("http://127.0.0.1:1", signals=["spans"])
