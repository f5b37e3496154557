"""Random schedules of failures: each span is followed from the sender to the receiver's books."""

import threading
from collections import Counter
from contextlib import nullcontext

import otlp_chaos
import pytest
from otlp_messages import traces
from otlp_receivers import Cutter, FakeClock, receiver

from workbench.formats.otlp.sending.retry import Retry
from workbench.formats.otlp.sending.send import open_route, send
from workbench.formats.otlp.sending.settings import Options, resolve
from workbench.formats.otlp.signals import SIGNALS

EACH = 6
"""Spans of a request."""
PATIENT = {"patience": 1e9}
both = pytest.mark.parametrize("protocol", ["grpc", "http/protobuf", "http/json"])


class Chaos:
    """A receiver whose steps are those of a schedule, and what is true of each request."""

    def __init__(self, protocol, seed, count, without=()):
        self.there = receiver(protocol).start()
        grpc = protocol == "grpc"
        self.between = Cutter(self.there.port) if grpc else nullcontext()
        steps = otlp_chaos.grpc(self.between) if grpc else otlp_chaos.HTTP
        self.names = otlp_chaos.schedule([n for n in steps if n not in without], seed, count)
        self.lost = Counter()
        self.met = []
        self.there.script = [(name, steps[name]) for name in self.names]
        self._wrap()
        self.endpoint = (self.between if grpc else self.there).endpoint

    def _wrap(self):
        """Note each step when it is met, with the spans that the receiver took in it."""
        chaos, there = self, self.there
        take, now = there.take, threading.local()

        class Script(list):
            def pop(self, at=-1):
                name, step = super().pop(at)
                chaos.met.append(name)
                now.name = name
                return step

        def noting(signal, message):
            before = Counter(there.taken[signal])
            take(signal, message)
            if getattr(now, "name", "").startswith("lost"):
                chaos.lost += there.taken[signal] - before
            now.name = ""

        there.script = Script(there.script)
        there.take = noting

    def __enter__(self):
        self.between.__enter__()
        return self

    def __exit__(self, *_):
        self.between.__exit__(None, None, None)
        self.there.stop()


@both
@pytest.mark.parametrize("seed", range(3))
def test_each_span_of_each_request(protocol, seed):
    """One request at a time: what is reported of it is what the receiver has of it."""
    with Chaos(protocol, seed, 70) as chaos:
        to = resolve(SIGNALS["traces"], Options(endpoint=chaos.endpoint, protocol=protocol), {})
        route = open_route(to, Retry(**PATIENT), FakeClock(), threading.Event(), 1)
        start = 0
        while chaos.there.script or not start:
            if start % (7 * EACH) == 0 and start:  # restarts while the connection is idle
                chaos.there.stop()
                chaos.there.start()
            outcome = route.deliver(traces(start, EACH))
            check(outcome.numbers, chaos, range(start, start + EACH))
            start += EACH
        route.transport.close()
    assert Counter(chaos.met) == Counter(chaos.names)


def check(numbers, chaos, mine):
    """Compare the books of both sides for one request."""
    taken = chaos.there.taken["traces"]
    assert numbers.sent + numbers.rejected + numbers.failed == numbers.produced == len(mine)
    there = [number for number in mine if taken[number]]
    twice = [number for number in mine if taken[number] > 1]
    # Everything is there, but for what was refused; that may be there if an answer was lost before.
    delivered = numbers.sent + numbers.rejected
    assert delivered <= len(there) <= delivered + numbers.unconfirmed
    assert numbers.unconfirmed <= numbers.failed
    # Twice only where an answer was lost, and each such span is in the report.
    assert all(chaos.lost[number] for number in twice)
    assert len(twice) <= numbers.doubled + numbers.unconfirmed
    assert max(taken[number] - chaos.lost[number] for number in mine) <= 1
    if numbers.doubled:
        assert numbers.retries > 0


def sent(chaos, protocol, count):
    """Send so many requests, four at a time, and return the books."""
    requests = (traces(start, EACH) for start in range(0, count * EACH, EACH))
    options = {"protocol": protocol, "clock": FakeClock(), "retry": Retry(**PATIENT)}
    return send(requests, chaos.endpoint, **options).signals["traces"]


@both
def test_without_a_lost_answer_nothing_is_doubled(protocol):
    # What was written to a connection that ends may have been read, as far as the sender knows.
    lost = {"read", "unread", "closing", *(n for n in otlp_chaos.HTTP if n.startswith("lost"))}
    lost |= {n for n in otlp_chaos.grpc(None) if n.startswith("lost")}
    with Chaos(protocol, 7, 60, without=lost) as chaos:
        part = sent(chaos, protocol, 60)
    assert (part.doubled, part.unconfirmed) == (0, 0)
    assert part.sent + part.rejected + part.failed == part.produced == 60 * EACH
    assert set(chaos.there.taken["traces"].values()) == {1}
    assert len(chaos.there.taken["traces"]) == part.sent + part.rejected
    assert part.failed > 0
    # A single span that is called too large is lost, too.
    final = ("bad", "413 Request Entity Too Large", "too large", "larger than max")
    assert all(why.endswith(final) for why in part.losses), part.losses


@both
def test_several_at_a_time(protocol):
    """Four threads and one schedule: the sums of both sides agree."""
    with Chaos(protocol, 11, 80) as chaos:
        part = sent(chaos, protocol, 90)
    taken = chaos.there.taken["traces"]
    delivered = part.sent + part.rejected
    assert delivered + part.failed == part.produced == 90 * EACH
    assert delivered <= len(taken) <= delivered + part.unconfirmed
    twice = [number for number, times in taken.items() if times > 1]
    if protocol != "grpc":  # there, one lost connection may be that of another thread's request
        assert all(chaos.lost[number] for number in twice)
    assert 0 < len(twice) <= part.doubled + part.unconfirmed
