"""Orders of the client, and what becomes of them."""

from __future__ import annotations

import os

import pytest

from workbench.errors import AttachError, ParameterError
from workbench.recorder import orders as module
from workbench.recorder.orders import CLIENT_GONE, STOPPED, Orders, Switches


@pytest.fixture
def pipe():
    ends = list(os.pipe())
    yield ends
    for fd in filter(None, ends):
        os.close(fd)


def test_lines_come_whole_however_they_are_sent(pipe):
    orders = Orders(pipe[0])
    os.write(pipe[1], b'{"probe": "a"}\n{"pro')
    assert list(orders.read()) == [{"probe": "a"}]
    os.write(pipe[1], b'be": "b"}')
    assert list(orders.read()) == []
    os.write(pipe[1], b"\n")
    assert list(orders.read()) == [{"probe": "b"}]


@pytest.mark.parametrize("word", [b"stop\n", b"7\n", b"[]\n", b"\n", b"\xff{\n"])
def test_all_else_is_a_word_that_stops(pipe, word):
    os.write(pipe[1], b'{"probe": "a"}\n' + word + b'{"probe": "b"}\n')
    assert list(Orders(pipe[0]).read()) == [{"probe": "a"}, STOPPED]


def test_a_client_that_goes(pipe):
    os.close(pipe[1])
    pipe[1] = 0
    assert list(Orders(pipe[0]).read()) == [CLIENT_GONE]
    assert list(Orders(-1).read()) == [CLIENT_GONE]


class Source:
    """A probe that is not in the kernel."""

    def __init__(self, kind, error=None):
        self.kind, self.error, self.switched = kind, error, []

    def switch(self, *, on):
        self.switched.append(on)
        if self.error:
            raise self.error


def test_probes_are_switched_once_and_periods_kept():
    told, a, b = [], Source("a"), Source("b")
    switches = Switches([a, b], told.append)
    for number, (name, on) in enumerate(
        [("a", True), ("a", False), ("a", False), ("b", False), ("a", True), ("a", False)]
    ):
        switches.obey({"number": number, "probe": name, "on": on})
    assert told == [{"number": n, "event": "switched"} for n in range(6)]
    assert (a.switched, b.switched) == ([False, True, False], [False])
    assert [(p["kind"], p["to_ns"] is None) for p in switches.periods] == [
        ("a", False), ("b", True), ("a", True),
    ]  # fmt: skip
    first, second, third = switches.periods
    assert first["from_ns"] <= second["from_ns"] <= first["to_ns"] <= third["from_ns"]


def test_what_is_refused(monkeypatch):
    told, gone = [], Source("gone", AttachError("No.", why="gone", advice="Ask."))
    switches = Switches([gone], told.append)
    switches.obey({"number": 1, "probe": "other", "on": False})
    switches.obey({"number": 2, "probe": "gone", "on": False})
    switches.obey({})
    monkeypatch.setattr(module, "MAX_PERIODS", 0)
    switches.obey({"number": 4, "probe": "gone", "on": False})
    assert [(answer["number"], answer["type"]) for answer in told] == [
        (1, ParameterError.__name__), (2, AttachError.__name__),
        (None, ParameterError.__name__), (4, ParameterError.__name__),
    ]  # fmt: skip
    assert told[0]["why"] == "it has gone"
    assert told[1] == told[1] | {"event": "refused", "what": "No.", "advice": "Ask."}
    assert switches.periods == []
