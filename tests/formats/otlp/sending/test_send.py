"""Sending many requests: exact books, order, progress, cancel, nothing left behind."""

import sys
import threading
from collections import Counter

import pytest
import synthetic
from otlp_messages import MAKERS, items, traces
from otlp_receivers import (
    TAKE_AND_DROP,
    TAKE_AND_STALL,
    Cutter,
    FakeClock,
    GrpcReceiver,
    HttpReceiver,
    Reply,
    abort,
    free_port,
    partial,
    receiver,
    take_and_cut,
)

from workbench.errors import DestinationError, ExportError, UndeliveredError, UnreachableError
from workbench.formats.otlp import encode
from workbench.formats.otlp.request import Request
from workbench.formats.otlp.sending.retry import Clock, Retry
from workbench.formats.otlp.sending.send import send
from workbench.formats.otlp.signals import SIGNALS
from workbench.recording import Recording

both = pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])


def ended():
    """Whether all threads that send have ended, after a while at most."""
    left = [thread for thread in threading.enumerate() if thread.name.startswith("otlp")]
    for thread in left:
        thread.join(25)
    return not any(thread.is_alive() for thread in left)


@pytest.fixture(autouse=True)
def no_threads_left():
    yield
    assert ended()


def exact(report):
    for part in report.signals.values():
        assert part.sent + part.rejected + part.failed == part.produced
    return report


@both
@pytest.mark.parametrize("parallel", [1, 4])
def test_all_signals_arrive_once(protocol, parallel):
    made = [make(start, 10) for start in range(0, 100, 10) for make in MAKERS.values()]
    with receiver(protocol) as there:
        report = exact(send(iter(made), there.endpoint, protocol=protocol, parallel=parallel))
    assert report.ok
    assert report.check() is report
    assert there.taken == {name: dict.fromkeys(range(100), 1) for name in SIGNALS}
    assert {name: part.sent for name, part in report.signals.items()} == dict.fromkeys(SIGNALS, 100)
    assert set(report.endpoints) == set(SIGNALS)
    assert report.seconds > 0
    assert report.total("bytes") == sum(len(request.body) for request in made)
    assert "400 of 400 items sent" in repr(report)


@both
def test_one_at_a_time_keeps_the_order(protocol):
    with receiver(protocol) as there:
        send((traces(n, 1) for n in range(20)), there.endpoint, protocol=protocol, parallel=1)
    assert list(there.taken["traces"]) == list(range(20))


@both
def test_several_are_under_way_at_once(protocol):
    """Three that wait for each other: with fewer at once none would end."""
    barrier = threading.Barrier(3, timeout=60)

    def step(*_):
        barrier.wait()

    with receiver(protocol, *[step] * 6) as there:
        report = send(map(traces, range(0, 60, 10)), there.endpoint, protocol=protocol, parallel=3)
    assert report.total("sent") == 60


@both
def test_requests_are_made_as_they_can_be_sent(protocol):
    most, made, done = [], 0, []

    def requests():
        nonlocal made
        for start in range(0, 200, 10):
            most.append(made - len(there.requests))
            made += 1
            yield traces(start, 10)

    with receiver(protocol) as there:
        send(requests(), there.endpoint, protocol=protocol, parallel=2, progress=done.append)
    assert max(most) <= 2
    assert len(there.requests) == 20


def weather(protocol, between):
    """A mixture of everything that may happen, and the end of it."""
    if protocol == "grpc":
        steps = [
            abort("UNAVAILABLE", "busy"),
            abort("RESOURCE_EXHAUSTED", "busy", retry=3),
            take_and_cut(between),
            partial(2, "too old"),
            abort("INVALID_ARGUMENT", "bad"),
            abort("RESOURCE_EXHAUSTED", "message larger than max"),
        ]
    else:
        answer = b'{"partialSuccess":{"rejectedSpans":"2","errorMessage":"too old"}}'

        def step(there, signal, message):
            there.take(signal.name, message)
            return Reply(200, answer, content_type="application/json")

        steps = [
            Reply(503),
            Reply(429, retry_after="3"),
            TAKE_AND_DROP,
            step,
            Reply(400, "bad"),
            Reply(413),
        ]
    return [step for each in steps for step in (each, None, None)] * 3


@both
@pytest.mark.parametrize("parallel", [1, 4])
def test_the_books_are_exact_in_all_weathers(protocol, parallel):
    there = receiver(protocol).start()
    with Cutter(there.port) as between:
        there.script = weather(protocol, between)
        endpoint = between.endpoint if protocol == "grpc" else there.endpoint
        requests = (traces(start, 20) for start in range(0, 1200, 20))
        report = exact(
            send(requests, endpoint, protocol=protocol, parallel=parallel, clock=FakeClock())
        )
    there.stop()
    part, taken = report.signals["traces"], there.taken["traces"]
    assert part.produced == 1200
    assert part.rejected == 6
    assert part.splits >= 3
    # What was refused as bad is lost, at most three requests or halves of them, and nothing else.
    assert 0 < part.failed <= 60
    assert set(part.losses) <= {"gRPC INVALID_ARGUMENT: bad", "HTTP 400 Bad Request: bad"}
    # Everything else is there; twice only where an answer was lost, and the report counts that.
    twice = sum(1 for times in taken.values() if times > 1)
    assert max(taken.values()) <= 4
    if parallel == 1:
        assert part.unconfirmed == 0
        assert len(taken) == part.sent + part.rejected
        assert twice == part.doubled > 0
    else:  # a request whose answer was lost may be refused when it comes again
        sent = part.sent + part.rejected
        assert sent <= len(taken) <= sent + part.unconfirmed
        assert twice <= part.doubled + part.unconfirmed
    with pytest.raises(UndeliveredError):
        report.check()


@both
def test_a_receiver_that_is_not_there(protocol):
    report = exact(
        send(
            map(traces, range(0, 100, 10)),
            f"http://127.0.0.1:{free_port()}",
            protocol=protocol,
            clock=FakeClock(),
        )
    )
    assert (report.total("failed"), report.total("sent")) == (100, 0)
    with pytest.raises(UnreachableError) as caught:
        report.check()
    assert "refused" in caught.value.why
    assert "NOT all delivered" in repr(report)


def test_a_signal_that_is_not_taken_does_not_hold_up_the_others():
    steps = [abort("UNIMPLEMENTED", "unknown service")]
    made = [MAKERS["profiles"](0, 10), MAKERS["profiles"](10, 10), traces(), MAKERS["logs"]()]
    with GrpcReceiver(*steps) as there:
        report = exact(send(made, there.endpoint, protocol="grpc", parallel=1))
    assert {name: (part.sent, part.failed) for name, part in report.signals.items()} == {
        "profiles": (0, 20),
        "traces": (10, 0),
        "logs": (10, 0),
    }
    assert len(there.requests) == 3


def test_the_environment_sends_signals_to_different_receivers(monkeypatch):
    with HttpReceiver() as there, GrpcReceiver() as other:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", there.endpoint + "/base/")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=a%20b")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", other.endpoint)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "grpc")
        report = send([make() for make in MAKERS.values()])
    assert report.ok
    assert {name for name, _, _ in there.requests} == {"traces", "metrics", "profiles"}
    assert {headers["x-key"] for _, headers, _ in there.requests + other.requests} == {"a b"}
    assert {name for name, _, _ in other.requests} == {"logs"}
    assert report.endpoints["traces"] == there.endpoint + "/base/v1/traces"


@both
def test_tls_with_a_client_certificate(protocol, authority):
    options = (
        {"credentials": authority.server_credentials(clients=True)}
        if protocol == "grpc"
        else {"context": authority.server_context(clients=True)}
    )
    with receiver(protocol, **options) as there:
        report = send(
            map(traces, range(0, 50, 10)),
            there.endpoint,
            protocol=protocol,
            certificate=authority.file,
            client_certificate=authority.folder / "client.pem",
            client_key=authority.folder / "client.key",
            compression="gzip",
        )
    assert report.ok
    assert there.taken["traces"] == dict.fromkeys(range(50), 1)
    assert report.total("wire_bytes") > 0


def test_progress_is_told():
    seen, told = [], threading.Event()

    class Patient(Clock):
        def wait(self, _seconds, stop):
            assert told.wait(60)
            return stop.is_set()

    def progress(report):
        seen.append((report.total("sent"), report.trouble, threading.current_thread()))
        if report.trouble:
            told.set()

    with HttpReceiver(None, Reply(503, "busy")) as there:
        send(
            map(traces, range(0, 30, 10)),
            there.endpoint,
            parallel=1,
            clock=Patient(),
            progress=progress,
        )
    sent = [count for count, _, _ in seen]
    assert sent == sorted(sent)
    assert set(sent) == {10, 20, 30}
    assert any("busy" in trouble and "next attempt in" in trouble for _, trouble, _ in seen)
    assert seen[-1][1] == ""
    assert {thread for _, _, thread in seen} == {threading.current_thread()}


@both
def test_cancel_cuts_what_is_under_way(protocol):
    released = threading.Event()
    cancel, closed = threading.Event(), []

    def stall(*_):
        cancel.set()
        released.wait(40)

    def requests():
        try:
            for start in range(0, 1000, 10):
                yield traces(start, 10)
        finally:
            closed.append(True)

    step = TAKE_AND_STALL if protocol != "grpc" else stall
    with receiver(protocol, None, step) as there:
        if protocol != "grpc":
            threading.Thread(
                target=lambda: there.stalled.wait(60) and cancel.set(), daemon=True
            ).start()
        report = exact(
            send(requests(), there.endpoint, protocol=protocol, parallel=1, cancel=cancel)
        )
        assert ended()  # though the receiver still does not answer
        released.set()
    assert report.cancelled
    assert not report.ok
    assert closed
    part = report.signals["traces"]
    assert (part.produced, part.sent, part.failed, part.unconfirmed) == (20, 10, 10, 10)
    assert part.losses == {"cancelled": 10}
    assert "cancelled" in repr(report)


def test_cancel_ends_a_wait():
    cancel = threading.Event()
    with HttpReceiver(*[Reply(503)] * 9) as there:
        report = exact(
            send(
                [traces()],
                there.endpoint,
                retry=Retry(initial=3000, maximum=3000, patience=9000),
                progress=lambda report: report.trouble and cancel.set(),
                cancel=cancel,
            )
        )
    assert report.cancelled
    assert report.total("failed") == 10
    assert report.total("unconfirmed") == 0


def test_a_cancel_at_the_end_is_none():
    cancel = threading.Event()
    with HttpReceiver() as there:
        report = send([traces()], there.endpoint, progress=lambda _: cancel.set(), cancel=cancel)
    assert not report.cancelled
    assert report.ok


def test_cancelled_before_it_begins():
    cancel = threading.Event()
    cancel.set()
    report = send(iter([traces()]), "http://127.0.0.1:1", cancel=cancel)
    assert report.cancelled
    assert report.signals == {}


@both
@pytest.mark.parametrize("where", ["requests", "progress"])
def test_errors_of_the_caller_end_it_cleanly(protocol, where):
    def requests():
        yield traces()
        yield traces(10)
        if where == "requests":
            raise KeyboardInterrupt
        yield traces(20)

    def progress(_):
        if where == "progress":
            raise KeyboardInterrupt

    with receiver(protocol) as there, pytest.raises(KeyboardInterrupt):
        send(requests(), there.endpoint, protocol=protocol, progress=progress, parallel=1)
    assert set(there.taken["traces"].values()) <= {1}


def test_settings_without_meaning_are_told_before_anything_is_sent():
    made = []
    with pytest.raises(DestinationError):
        send((made.append(1) or traces() for _ in range(2)), "localhost:4318")
    assert not made
    with pytest.raises(ExportError, match="no signal 'spans'"):
        send([Request("spans", 1, b"")], "http://127.0.0.1:1")


@pytest.mark.parametrize(("protocol", "module"), [("grpc", "grpc"), ("http/protobuf", "urllib3")])
def test_missing_packages_are_told(protocol, module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ExportError, match="not installed") as caught:
        send([traces()], "http://127.0.0.1:1", protocol=protocol)
    assert "ebpf-workbench[otlp]" in caught.value.advice


def test_nothing_to_send():
    report = send([], "http://127.0.0.1:1")
    assert report.ok
    assert report.signals == {}


def test_empty_requests_are_sent_as_they_are():
    with HttpReceiver() as there:
        report = send([Request("traces", 0, b"")], there.endpoint)
    assert report.ok
    assert report.signals["traces"].requests == 1
    assert there.taken["traces"] == Counter()


@both
def test_a_session_arrives_whole(protocol, tmp_path):
    """From the tables of a session to the messages that a receiver has, in small requests."""
    rec = Recording.open(synthetic.make_session(tmp_path / "a.wb", rows=700))
    expected = Counter()
    for request in encode.requests(rec):
        expected[request.signal] += request.items
    got = Counter()

    class Receiver(GrpcReceiver if protocol == "grpc" else HttpReceiver):
        def take(self, signal, message):
            found = items(signal, message)
            if signal == "profiles":  # a sample stands for all its times
                found = [time for sample in found for time in sample.timestamps_unix_nano]
            with self.lock:
                got[signal] += len(found)

    with Receiver() as there:
        made = encode.requests(rec, max_bytes=50_000)
        report = exact(send(made, there.endpoint, protocol=protocol, compression="gzip"))
    assert report.ok
    assert {name: part.sent for name, part in report.signals.items()} == dict(expected)
    assert got == expected
    assert report.total("requests") > 4
