"""Run-queue latency beside `perf sched`, which takes the whole machine: only in a guest."""

import re
import subprocess
import sys

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
        mine = ours.filter(pl.col("ts").is_between(seen[0][0] - 1, seen[-1][0] + 1), tid=pid)
        assert set(mine["cause"]) == {"preempted"} if busy else {"preempted", "woken"}
        assert mine.height == len(seen)
        near = pytest.approx([latency for _, latency in seen], abs=1)
        assert mine.sort("ts")["latency"].to_list() == near
        total = sum(latency for _, latency in seen)
        assert mine["latency"].sum() == pytest.approx(total, rel=0.03)


def latencies(data, pid):
    """(time, run-queue latency) in ms of each run of a thread whose beginning perf saw."""
    found, ready = [], None
    for event in EVENT.finditer(perf("script", "-i", data, "--ns", "-F", "time,event,trace")):
        time = 1000 * float(event["time"])
        if event["name"] == "sched_waking" and f" pid={pid} " in event["text"] and ready is None:
            ready = time
        switch = SWITCH.search(event["text"]) if event["name"] == "sched_switch" else None
        if switch and int(switch[1]) == pid:
            ready = time if switch[2].startswith("R") else None
        elif switch and int(switch[3]) == pid and ready is not None:
            found.append((time, time - ready))
            ready = None
    return found
