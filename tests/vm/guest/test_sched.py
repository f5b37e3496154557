"""Run-queue latency beside `perf sched`, which takes the whole machine: only in a guest."""

import re
import subprocess
import sys
from itertools import pairwise
from typing import NamedTuple

import polars as pl
import pytest

import workbench as wb

# Two children share the guest's only CPU; while they do, perf records for a while.
PAIR = """
import os, subprocess, sys, time
def child(nap):
    pid = os.fork()
    if pid: return pid
    while os.getppid() == parent:
        for _ in range(20000): pass
        if nap: time.sleep(nap)
    os._exit(0)
parent = os.getpid()
print(child(0), child(0.002), flush=True)
perf = ["perf", "sched", "record", "-q", "-k", "CLOCK_MONOTONIC", "-m", "16M", "-o", sys.argv[1]]
subprocess.run([*perf, "--", "sleep", "1.5"], check=True, stdout=2)
"""
EVENT = re.compile(r"(?P<time>[\d.]+):\s+sched:(?P<name>\w+):\s(?P<text>.*)")
NS = 1e-6  # ms: what floats lose
SWITCH = re.compile(r"prev_pid=(\d+) .* prev_state=(\S+) ==> .* next_pid=(\d+)")


def perf(*words):
    return subprocess.run(["perf", *words], check=True, capture_output=True, text=True).stdout


def test_latencies_are_those_of_perf_sched(tmp_path, capfd):
    data = str(tmp_path / "perf.data")
    session = wb.capture(
        "sched", command=[sys.executable, "-c", PAIR, data], output=tmp_path / "s.wb",
        progress=False,
    )  # fmt: skip
    pids = [int(word) for word in capfd.readouterr().out.splitlines()[0].split()]
    assert session.losses["dropped"].sum() == 0
    # The guest was never suspended: its monotonic clock is the boot clock of the session.
    offset = session.manifest.clock["offset_start_ns"]
    ours = session["sched"].polars().select(
        (pl.col("ts").dt.timestamp("ns") - offset) / 1e6, pl.col("latency").cast(pl.Int64) / 1e6,
        "tid", pl.col("cause").cast(pl.String),
    )  # fmt: skip
    for pid, busy in zip(pids, (True, False), strict=True):
        seen = latencies(data, pid)
        assert len(seen) > 30
        mine = ours.filter(pl.col("ts").is_between(seen[0].end[0], seen[-1].end[1] + NS), tid=pid)
        assert set(mine["cause"]) == {"preempted"} if busy else {"preempted", "woken"}
        assert mine.height == len(seen)
        # Where the host stops this machine between two programs on one event, their times differ
        # by that. But what was attached first runs first (func_add() in kernel/tracepoint.c), so
        # none of ours is behind perf's, nor before perf's of the event that came before.
        for (end, latency), run in zip(
            mine.sort("ts").select("ts", "latency").rows(), seen, strict=True
        ):
            assert run.end[0] - NS <= end <= run.end[1] + NS
            assert run.ready[0] - NS <= end - latency <= run.ready[1] + NS
        differences = mine.sort("ts")["latency"] - pl.Series([run.latency for run in seen])
        assert differences.abs().quantile(0.95) < 1
        total = sum(run.latency for run in seen)
        assert mine["latency"].sum() == pytest.approx(total, rel=0.03)


class Run(NamedTuple):
    """Times of two events, each behind that of the event before it, in ms."""

    ready: tuple[float, float]
    end: tuple[float, float]

    @property
    def latency(self):
        return self.end[1] - self.ready[1]


def latencies(data, pid):
    """The runs of a thread whose beginning perf saw."""
    found, ready = [], None
    events = list(EVENT.finditer(perf("script", "-i", data, "--ns", "-F", "time,event,trace")))
    times = [1000 * float(event["time"]) for event in events]
    for event, place in zip(events, pairwise([0.0, *times]), strict=True):
        if event["name"] == "sched_waking" and f" pid={pid} " in event["text"] and ready is None:
            ready = place
        switch = SWITCH.search(event["text"]) if event["name"] == "sched_switch" else None
        if switch and int(switch[1]) == pid:
            ready = place if switch[2].startswith("R") else None
        elif switch and int(switch[3]) == pid and ready is not None:
            found.append(Run(ready, place))
            ready = None
    return found
