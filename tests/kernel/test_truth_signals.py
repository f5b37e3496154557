"""Signals of programs that know how many they sent, to whom, and how many their handlers got."""

import json
import os
import signal
import subprocess
import sys
import time

import polars as pl
import pytest

import workbench as wb
from workbench.frames import signals as frames

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("nothing_left")]

PROGRAM = r"""
import json, os, signal, threading, time
def now(): return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
got = {"usr1": 0, "rt": 0, "term": 0, "alarm": 0}
def count(name):
    def handler(*_): got[name] += 1
    return handler
RT = signal.SIGRTMIN + 1
signal.signal(signal.SIGUSR1, count("usr1"))
signal.signal(signal.SIGUSR2, signal.SIG_IGN)
signal.signal(RT, count("rt"))
signal.signal(signal.SIGALRM, count("alarm"))
me = os.getpid()
child = os.fork()
if not child:
    for _ in range(30):
        os.kill(me, signal.SIGUSR1)
        time.sleep(0.002)
    for _ in range(10): os.kill(me, signal.SIGUSR2)
    os._exit(0)
while os.waitpid(child, os.WNOHANG)[0] == 0: time.sleep(0.001)
blocked = now()
signal.pthread_sigmask(signal.SIG_BLOCK, [RT, signal.SIGUSR1])
for _ in range(5): os.kill(me, RT)
before = got["usr1"]
for _ in range(5): os.kill(me, signal.SIGUSR1)
time.sleep(0.05)
start = now()
signal.pthread_sigmask(signal.SIG_UNBLOCK, [RT, signal.SIGUSR1])
end = now()
signal.setitimer(signal.ITIMER_REAL, 0.01)
time.sleep(0.05)
told = {}
def thread():
    told["tid"] = threading.get_native_id()
    time.sleep(0.3)
one = threading.Thread(target=thread)
one.start()
time.sleep(0.1)
signal.pthread_kill(one.ident, signal.SIGUSR1)
one.join()
victim = os.fork()
if not victim:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a tool may have set a handler
    time.sleep(60)
time.sleep(0.5)
os.kill(victim, signal.SIGTERM)
os.waitpid(victim, 0)
print(json.dumps({"me": me, "child": child, "victim": victim, "rt": int(RT), "got": got,
                  "blocked": start - blocked, "window": end - blocked, "tid": told["tid"]}))
"""


def capture(tmp_path, **options):
    command = [sys.executable, "-c", PROGRAM]
    return wb.capture("signals", command=command, output=tmp_path / "s.wb", **options)


def events(session, **conditions):
    texts = pl.col("event", "result", "action", "context").cast(pl.String)
    found = session["signals"].polars().with_columns(texts, pl.col("latency").cast(pl.Int64))
    return found.filter(**conditions)


def check_losses(session):
    losses = session.losses.filter(kind="signals")
    assert losses["delivered"].sum() == losses["produced"].sum() == session["signals"].num_rows


@pytest.mark.parametrize(
    "options", [{}, {"transport": "perf"}, {"stacks": True}], ids=["ring", "perf", "stacks"]
)
def test_every_signal_and_who_sent_it(tmp_path, capfd, options):
    session = capture(tmp_path, **options)
    told = json.loads(capfd.readouterr().out)
    me, child, got = told["me"], told["child"], told["got"]
    check_losses(session)
    generated = events(session, event="generated", pid=me)
    delivered = events(session, event="delivered", pid=me)

    usr1 = generated.filter(signal=signal.SIGUSR1)
    assert usr1.filter(sender_pid=child).height == 30
    assert usr1.filter(sender_pid=me).height == 6
    assert usr1.filter(sender_pid=me, result="already_pending").height == 4
    # A handler of Python may run once for two signals that came in a row.
    hits = delivered.filter(signal=signal.SIGUSR1, action="handler")
    assert got["usr1"] <= hits.height == usr1.filter(result="queued").height
    assert (
        hits.filter(sender_pid=child).height
        == usr1.filter(sender_pid=child, result="queued").height
    )
    ignored = generated.filter(signal=signal.SIGUSR2)
    assert ignored.select("sender_pid", "result").rows() == [(child, "ignored")] * 10
    assert delivered.filter(signal=signal.SIGUSR2).is_empty()

    real_time = delivered.filter(signal=told["rt"])
    assert generated.filter(signal=told["rt"], result="queued").height == 5 == real_time.height
    # They waited as long as they were blocked, in their order.
    assert real_time["latency"].min() >= 50_000_000
    assert real_time["latency"].max() <= told["window"]
    sent = real_time["ts"].dt.timestamp("ns") - real_time["latency"]
    assert (
        sent.sort().to_list()
        == generated.filter(signal=told["rt"]).sort("ts")["ts"].dt.timestamp("ns").to_list()
    )

    alarm = generated.filter(signal=signal.SIGALRM)
    # A timer that interrupts init is not seen on some machines, see test_truth_offcpu.py.
    assert alarm.height <= got["alarm"] == delivered.filter(signal=signal.SIGALRM).height == 1
    if alarm["context"].to_list() == ["interrupt"]:  # some kernels send it from the task itself
        assert alarm["sender_pid"].to_list() == [0]
    one = generated.filter(signal=signal.SIGUSR1, group=0)
    assert one.select("tid", "sender_pid", "code").rows() == [(told["tid"], me, -6)]
    assert delivered.filter(signal=signal.SIGUSR1, tid=told["tid"]).height == 1


def test_children_and_ends(tmp_path, capfd):
    session = capture(tmp_path)
    told = json.loads(capfd.readouterr().out)
    me, victim = told["me"], told["victim"]
    chld = events(session, event="generated", signal=signal.SIGCHLD, pid=me)
    assert set(chld["sender_pid"]) == {told["child"], victim}
    terms = events(session, event="generated", pid=victim, signal=signal.SIGTERM)
    (term,) = terms.filter(sender_pid=me, result="queued").rows(named=True)
    assert term["group"] == 1
    # What ends a process is delivered as SIGKILL, see complete_signal() in kernel/signal.c.
    ends = events(session, event="delivered", pid=victim)
    assert ends.select("signal", "action").rows() == [(signal.SIGKILL, "default")]
    pairs = frames.by_pair(session).filter(name="SIGUSR1", sender_pid=told["child"], pid=me)
    assert pairs["generated"].to_list() == [30]
    assert frames.by_signal(session).filter(name="SIGUSR2")["ignored"].to_list() == [10]


def test_signals_from_outside(tmp_path):
    code = """import signal, time
signal.signal(signal.SIGUSR1, lambda *_: None)
for i in range(600): time.sleep(0.1)"""
    with subprocess.Popen([sys.executable, "-c", code]) as child:
        try:
            time.sleep(0.5)
            with wb.capture("signals", pid=child.pid, output=tmp_path / "s.wb"):
                for _ in range(20):
                    child.send_signal(signal.SIGUSR1)
                    time.sleep(0.01)
        finally:
            child.kill()
    session = wb.open(tmp_path / "s.wb")
    sent = events(session, event="generated", pid=child.pid, signal=signal.SIGUSR1)
    assert set(sent["sender_pid"]) == {os.getpid()}
    assert sent.height == 20
    queued = sent.filter(result="queued").height
    assert queued - 1 <= events(session, event="delivered", signal=signal.SIGUSR1).height <= queued
