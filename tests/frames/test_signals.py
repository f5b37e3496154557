"""Tables of signals, from events by hand."""

import signal

import polars as pl
import pytest
from fake_recording import FakeRecording

from workbench.errors import MissingTableError
from workbench.frames import signals

NAMES = [{"tid": 5, "comm": "sender", "ts": 1}, {"tid": 7, "comm": "receiver", "ts": 1}]


def sent(number, result="queued", sender=5, **more):
    return {"event": "generated", "signal": number, "result": result, "action": "none",
            "sender_pid": sender, "pid": 7, "tid": 7, **more}  # fmt: skip


def got(number, latency, sender=5, **more):
    return {"event": "delivered", "signal": number, "result": "none", "action": "handler",
            "sender_pid": sender, "pid": 7, "tid": 7, "latency": latency, **more}  # fmt: skip


ROWS = [
    sent(10), got(10, 30), sent(10), sent(10, "already_pending"), got(10, 50),
    sent(17, "ignored"), sent(14, sender=0), got(14, 9, sender=0), sent(34, "overflow_fail"),
    got(9, 0, sender=0, action="default"),
]  # fmt: skip
REC = FakeRecording(signals=ROWS, processes=NAMES)


def ns(frame, *columns):
    return frame.select(pl.col(columns).cast(pl.Int64)).rows()


def test_by_signal():
    found = signals.by_signal(REC)
    counts = ("name", "generated", "ignored", "already_pending", "lost", "delivered")
    assert found.select(counts).rows() == [
        ("SIGUSR1", 3, 0, 1, 0, 2),
        ("SIGALRM", 1, 0, 0, 0, 1),
        ("SIGCHLD", 1, 1, 0, 0, 0),
        ("SIGRTMIN", 1, 0, 0, 1, 0),
        ("SIGKILL", 0, 0, 0, 0, 1),
    ]
    assert ns(found, "p50", "p99", "max")[0] == (30, 50, 50)
    assert found["max"].null_count() == 3  # 0 is not known


def test_by_pair():
    found = signals.by_pair(REC)
    assert found.select("name", "sender_pid", "sender_comm", "pid", "comm", "generated").rows() == [
        ("SIGUSR1", 5, "sender", 7, "receiver", 3),
        ("SIGALRM", 0, None, 7, "receiver", 1),
        ("SIGCHLD", 5, "sender", 7, "receiver", 1),
        ("SIGRTMIN", 5, "sender", 7, "receiver", 1),
        ("SIGKILL", 0, None, 7, "receiver", 0),
    ]


def test_slowest():
    found = signals.slowest(REC, 2)
    assert ns(found, "latency") == [(50,), (30,)]
    assert found["name"].to_list() == ["SIGUSR1"] * 2


@pytest.mark.parametrize("number", [*signal.valid_signals(), 0, 99])
def test_names(number):
    name = signals.signal_name(int(number))
    if number in (0, 99):
        assert name == f"signal {number}"
    elif number > signal.SIGRTMIN:
        assert name == f"SIGRTMIN+{number - signal.SIGRTMIN}"
    else:
        assert getattr(signal, name) == number


def test_nothing_there():
    with pytest.raises(MissingTableError, match="record signals"):
        signals.by_signal(FakeRecording())
    empty = FakeRecording(signals=[])
    for function in (signals.by_signal, signals.by_pair, signals.slowest):
        assert function(empty).is_empty()
