"""One request on its way, over both transports: every item arrives once, or is accounted for."""

import threading

import pytest
from otlp_messages import MAKERS, attribute, items, traces
from otlp_receivers import (
    DROP_UNREAD,
    TAKE_AND_DROP,
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

from workbench.errors import RefusedError, UnreachableError
from workbench.formats.otlp.request import Request
from workbench.formats.otlp.sending.retry import Retry
from workbench.formats.otlp.sending.send import open_route
from workbench.formats.otlp.sending.settings import Options, resolve
from workbench.formats.otlp.signals import SIGNALS

ONCE = dict.fromkeys(range(10), 1)


class Way:
    """A route with a clock of its own."""

    def __init__(self, endpoint, protocol, *, on_wait=lambda _: None, signal="traces", **retry):
        self.clock = FakeClock(on_wait)
        self.stop = threading.Event()
        to = resolve(SIGNALS[signal], Options(endpoint=endpoint, protocol=protocol), {})
        self.route = open_route(to, Retry(**retry), self.clock, self.stop, 1)

    def deliver(self, request):
        outcome = self.route.deliver(request)
        numbers = outcome.numbers
        assert numbers.sent + numbers.rejected + numbers.failed == numbers.produced == request.items
        assert numbers.losses.total() == numbers.failed
        return outcome

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.route.transport.close()


def busy(protocol, *waits):
    """Steps that answer "not now", with what to wait where that is a number."""
    if protocol == "grpc":
        return [abort("UNAVAILABLE", "busy", retry=wait) for wait in waits]
    return [
        Reply(503, "busy", **({} if wait is None else {"retry_after": str(wait)})) for wait in waits
    ]


both = pytest.mark.parametrize("protocol", ["grpc", "http/protobuf", "http/json"])


@both
@pytest.mark.parametrize("signal", SIGNALS)
def test_every_item_arrives_once(protocol, signal):
    with receiver(protocol) as there, Way(there.endpoint, protocol, signal=signal) as way:
        numbers = way.deliver(MAKERS[signal](0, 10)).numbers
    assert there.taken[signal] == ONCE
    assert (numbers.sent, numbers.requests, numbers.retries, numbers.doubled) == (10, 1, 0, 0)
    assert numbers.bytes == len(MAKERS[signal](0, 10).body)


@both
def test_a_busy_receiver_is_asked_again_with_growing_waits(protocol):
    with (
        receiver(protocol, *busy(protocol, None, None, None)) as there,
        Way(there.endpoint, protocol) as way,
    ):
        numbers = way.deliver(traces()).numbers
    assert there.taken["traces"] == ONCE
    assert (numbers.sent, numbers.retries, numbers.requests) == (10, 3, 4)
    # It said itself that it did not take it: nothing can be there twice.
    assert numbers.doubled == 0
    first, second, third = way.clock.waits
    assert 0.5 <= first <= 1 <= second <= 2 <= third <= 4
    assert way.route.trouble == ""


@both
def test_the_receivers_wait_is_kept(protocol):
    with (
        receiver(protocol, *busy(protocol, 7, 20)) as there,
        Way(there.endpoint, protocol) as way,
    ):
        way.deliver(traces())
    assert there.taken["traces"] == ONCE
    assert 7 <= way.clock.waits[0] <= 7.7
    assert 20 <= way.clock.waits[1] <= 22


def test_a_wait_until_a_date():
    step = Reply(429, retry_after="Tue, 14 Nov 2023 22:13:40 GMT")  # 20 s after the clock's start
    with HttpReceiver(step) as there, Way(there.endpoint, "http/protobuf") as way:
        way.deliver(traces())
    assert there.taken["traces"] == ONCE
    assert 20 <= way.clock.waits[0] <= 22


@both
def test_a_receiver_restarts_on_its_port(protocol):
    there = receiver(protocol, port=free_port()).start()
    with Way(there.endpoint, protocol, on_wait=lambda n: n == 3 and there.start()) as way:
        way.deliver(traces(0, 5))
        there.stop()
        numbers = way.deliver(traces(5, 5)).numbers
    there.stop()
    assert there.taken["traces"] == ONCE
    assert len(way.clock.waits) == 3
    # What was refused was not delivered. On a connection that still seemed open it may have been.
    assert numbers.sent == 5
    assert numbers.doubled in {0, 5}


def lose_answers(protocol, count):
    """A receiver whose first answers are lost after it took the request, and where it is."""
    if protocol != "grpc":
        there = HttpReceiver(*[TAKE_AND_DROP] * count)
        return there, None
    there = GrpcReceiver().start()
    between = Cutter(there.port)
    there.script += [take_and_cut(between)] * count
    return there, between


@both
def test_only_a_lost_answer_doubles_and_the_report_says_so(protocol):
    there, between = lose_answers(protocol, 1)
    with between or there, Way((between or there).endpoint, protocol) as way:
        numbers = way.deliver(traces(0, 10)).numbers
        assert way.deliver(traces(10, 10)).numbers.doubled == 0
    there.stop()
    taken = there.taken["traces"]
    assert {number for number, times in taken.items() if times == 2} == set(range(10))
    assert {number for number, times in taken.items() if times == 1} == set(range(10, 20))
    assert (numbers.sent, numbers.doubled, numbers.retries) == (10, 10, 1)


@both
def test_an_answer_that_is_always_lost_is_unconfirmed(protocol):
    there, between = lose_answers(protocol, 3)
    with between or there, Way((between or there).endpoint, protocol, patience=2.5) as way:
        outcome = way.deliver(traces())
    there.stop()
    assert outcome.numbers.failed == outcome.numbers.unconfirmed == 10
    assert outcome.numbers.doubled == 0
    assert isinstance(outcome.error, UnreachableError)
    assert min(there.taken["traces"].values()) >= 2


@both
def test_a_lost_answer_is_remembered_through_other_failures(protocol):
    there, between = lose_answers(protocol, 1)
    there.script += busy(protocol, None, None)
    with between or there, Way((between or there).endpoint, protocol) as way:
        numbers = way.deliver(traces()).numbers
    there.stop()
    assert set(there.taken["traces"].values()) == {2}
    assert (numbers.sent, numbers.doubled, numbers.retries) == (10, 10, 3)


def test_a_request_that_was_not_read_is_not_doubled():
    with HttpReceiver(DROP_UNREAD) as there, Way(there.endpoint, "http/protobuf") as way:
        numbers = way.deliver(traces(0, 2000, text=5000)).numbers
    assert set(there.taken["traces"].values()) == {1}
    assert (numbers.sent, numbers.doubled, numbers.retries) == (2000, 0, 1)


@both
def test_patience_ends_and_what_follows_is_not_tried(protocol):
    with Way(f"http://127.0.0.1:{free_port()}", protocol, patience=20) as way:
        outcome = way.deliver(traces(0, 10))
        waits = len(way.clock.waits)
        following = way.deliver(traces(10, 5))
    assert outcome.numbers.failed == 10
    assert outcome.numbers.unconfirmed == 0
    (why,) = outcome.numbers.losses
    assert why.startswith(f"given up after {outcome.numbers.requests} attempts in ")
    assert "refused" in why
    assert sum(way.clock.waits) <= 20
    assert outcome.numbers.requests == waits + 1 >= 4
    assert (following.numbers.failed, following.numbers.requests) == (5, 0)
    assert isinstance(outcome.error, UnreachableError)
    assert "listens" in outcome.error.advice


@both
def test_a_wait_beyond_patience_is_not_begun(protocol):
    with (
        receiver(protocol, *busy(protocol, 3600)) as there,
        Way(there.endpoint, protocol) as way,
    ):
        outcome = way.deliver(traces())
    assert way.clock.waits == []
    assert not there.taken["traces"]
    (why,) = outcome.numbers.losses
    assert "the receiver asks for 3" in why
    assert isinstance(outcome.error, RefusedError)


@both
def test_one_bad_request_does_not_end_the_others(protocol):
    there = receiver(protocol, *busy(protocol, *[None] * 40))
    good = []

    def another(number):
        if number == 3:  # comes through while the first one is waiting
            script, there.script = there.script, []
            good.append(way.deliver(traces(100, 5)))
            there.script = script

    with there, Way(there.endpoint, protocol, on_wait=another, patience=30) as way:
        assert way.deliver(traces(0, 10)).numbers.failed == 10
        there.script = []
        assert way.deliver(traces(200, 5)).numbers.sent == 5
    assert good[0].numbers.sent == 5


@both
def test_what_is_refused_is_not_repeated(protocol):
    step = abort("INVALID_ARGUMENT", "bad id") if protocol == "grpc" else Reply(400, "bad id")
    with receiver(protocol, step) as there, Way(there.endpoint, protocol) as way:
        outcome = way.deliver(traces(0, 10))
        following = way.deliver(traces(10, 10))
    assert (outcome.numbers.failed, outcome.numbers.requests) == (10, 1)
    assert "bad id" in next(iter(outcome.numbers.losses))
    assert isinstance(outcome.error, RefusedError)
    assert "bad id" in outcome.error.why
    assert following.numbers.sent == 10


@both
def test_a_hopeless_answer_ends_the_signal(protocol):
    step = abort("UNAUTHENTICATED", "no key") if protocol == "grpc" else Reply(401, "no key")
    with receiver(protocol, step) as there, Way(there.endpoint, protocol) as way:
        outcome = way.deliver(traces(0, 10))
        following = way.deliver(traces(10, 10))
    assert len(there.requests) == 1
    assert outcome.numbers.failed == following.numbers.failed == 10
    assert following.numbers.losses == outcome.numbers.losses
    assert "headers=" in outcome.error.advice


def limited(protocol, limit):
    """A receiver that takes at most `limit` bytes."""

    def step(there, signal, message, context=None):
        there.script.append(step)
        if there.requests[-1][2] <= limit:
            return None
        if context is None:
            return Reply(413)
        # gRPC's own limit says so, too (see below), but takes a tenth of a second for it.
        return abort("RESOURCE_EXHAUSTED", "message larger than max")(
            there, signal, message, context
        )

    return receiver(protocol, step)


def test_the_limit_of_grpc_itself():
    request = traces(0, 100)
    with (
        GrpcReceiver(limit=len(request.body) * 2 // 3) as there,
        Way(there.endpoint, "grpc") as way,
    ):
        numbers = way.deliver(request).numbers
    assert there.taken["traces"] == dict.fromkeys(range(100), 1)
    assert (numbers.sent, numbers.splits, numbers.requests, numbers.doubled) == (100, 1, 3, 0)


@both
@pytest.mark.parametrize("signal", SIGNALS)
def test_what_is_too_large_is_halved(protocol, signal):
    request = MAKERS[signal](0, 100)
    limit = len(request.body) // 3
    if protocol == "http/json":
        limit *= 3
    with limited(protocol, limit) as there, Way(there.endpoint, protocol, signal=signal) as way:
        numbers = way.deliver(request).numbers
        before = numbers.requests
        again = way.deliver(MAKERS[signal](1000, 100)).numbers
    assert there.taken[signal] == dict.fromkeys([*range(100), *range(1000, 1100)], 1)
    assert (numbers.sent, numbers.failed, numbers.doubled) == (100, 0, 0)
    assert numbers.splits >= 3
    # The limit was learnt: nothing is refused again.
    assert before > again.requests
    assert again.requests == again.splits + 1


@both
def test_an_item_that_is_too_large_is_lost_alone(protocol):
    message = SIGNALS["traces"].request().FromString(traces(0, 50).body)
    giant = items("traces", message)[17]
    attribute(giant.attributes, "giant", "x" * 50_000)
    lost = int.from_bytes(giant.span_id, "big") - 1
    with limited(protocol, 20_000) as there, Way(there.endpoint, protocol) as way:
        outcome = way.deliver(Request("traces", 50, message.SerializeToString()))
    assert there.taken["traces"] == dict.fromkeys(set(range(50)) - {lost}, 1)
    assert (outcome.numbers.sent, outcome.numbers.failed) == (49, 1)
    assert isinstance(outcome.error, RefusedError)


def test_a_used_up_quota_is_not_asked_for_each_item():
    with (
        GrpcReceiver(*[abort("RESOURCE_EXHAUSTED", "quota")] * 500) as there,
        Way(there.endpoint, "grpc") as way,
    ):
        numbers = way.deliver(traces(0, 200)).numbers
    assert numbers.failed == 200
    assert numbers.requests == 15  # 1 + 2 + 4 + 8


def test_size_without_a_word_of_it_is_halved_too():
    def step(there, signal, message, context):
        there.script.append(step)
        if len(message.resource_spans) > 1:
            return abort("RESOURCE_EXHAUSTED")(there, signal, message, context)
        return None

    with GrpcReceiver(step) as there, Way(there.endpoint, "grpc") as way:
        numbers = way.deliver(traces(0, 10)).numbers
    assert there.taken["traces"] == ONCE
    assert (numbers.sent, numbers.splits) == (10, 1)


def test_halves_of_what_may_be_there_may_be_doubled():
    with (
        HttpReceiver(TAKE_AND_DROP, Reply(413)) as there,
        Way(there.endpoint, "http/protobuf") as way,
    ):
        numbers = way.deliver(traces()).numbers
    assert set(there.taken["traces"].values()) == {2}
    assert (numbers.sent, numbers.doubled) == (10, 10)


@pytest.mark.parametrize("signal", SIGNALS)
def test_partial_success(signal):
    with (
        GrpcReceiver(partial(1, "too old"), partial(0, "slow down")) as there,
        Way(there.endpoint, "grpc", signal=signal) as way,
    ):
        first = way.deliver(MAKERS[signal](0, 10)).numbers
        second = way.deliver(MAKERS[signal](10, 10)).numbers
    rejected = 5 if signal == "profiles" else 1  # a profile has five samples here
    assert (first.sent, first.rejected, first.requests) == (10 - rejected, rejected, 1)
    assert first.rejections == {"too old": rejected}
    assert (second.sent, second.rejected) == (10, 0)
    assert second.warnings == {"slow down": 1}


def test_what_json_cannot_say_is_lost_and_told():
    body = traces(0, 3).body + b"\xfa\x3f\x01a"
    with HttpReceiver() as there, Way(there.endpoint, "http/json") as way:
        outcome = way.deliver(Request("traces", 3, body))
    assert (outcome.numbers.failed, outcome.numbers.requests) == (3, 0)
    assert "does not know" in outcome.error.why
    assert not there.requests


@both
def test_nothing_begins_after_a_stop(protocol):
    with receiver(protocol) as there, Way(there.endpoint, protocol) as way:
        way.stop.set()
        outcome = way.deliver(traces())
    assert outcome.numbers.losses == {"cancelled": 10}
    assert outcome.error is None
    assert not there.requests


@both
def test_a_pause_holds_for_all_that_is_sent(protocol):
    def another(number):
        if number == 1:  # while the first one waits, before any time has passed
            way.deliver(traces(5, 5))

    with (
        receiver(protocol, *busy(protocol, 30)) as there,
        Way(there.endpoint, protocol, on_wait=another) as way,
    ):
        way.deliver(traces(0, 5))
    first, second = way.clock.waits
    assert 30 <= first == second
    assert there.taken["traces"] == ONCE
