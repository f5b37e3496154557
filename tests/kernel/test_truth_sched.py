"""Runs of programs, against what the kernel and the programs count themselves."""

import json
import os
import subprocess
import sys
import time

import polars as pl
import pytest

import workbench as wb
from workbench.frames import sched

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("nothing_left")]

BUSY = """
import json, os, resource, time
def cpu(): return time.clock_gettime_ns(time.CLOCK_PROCESS_CPUTIME_ID)
os.sched_setaffinity(0, [{cpu}])
def now(): return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
start, used = now(), cpu()
while now() - start < 600_000_000: pass
end, used = now(), cpu() - used
delay = int(open("/proc/self/schedstat").read().split()[1])
print(json.dumps([os.getpid(), start, end, used, delay, now()]))
"""
TURNS = """
import os, resource, time
def use():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME), used.ru_nvcsw, used.ru_nivcsw
there, back = os.pipe(), os.pipe()
parent = os.fork()
start = use()
for i in range(100):
    if parent:
        os.write(there[1], b"x")
        os.read(back[0], 1)
        time.sleep(0.001)
    else:
        os.read(there[0], 1)
        os.write(back[1], b"x")
end = use()
if parent: os.wait()
print(os.getpid(), start[0], end[0], end[1] - start[1], end[2] - start[2])
"""


def capture(tmp_path, command, **options):
    return wb.capture("sched", command=command, output=tmp_path / "s.wb", **options)


def runs(session):
    """Runs with the times of the boot clock, which programs can read, and texts."""
    offset = session.manifest.clock["offset_start_ns"]
    return (
        session["sched"]
        .polars()
        .with_columns(
            pl.col("ts").dt.timestamp("ns") - offset,
            pl.col("latency", "ran").cast(pl.Int64),
            pl.col("cause", "state", "waker").cast(pl.String),
        )
    )


def unseen(session):
    """Runs whose beginning this machine does not show, see test_truth_offcpu.py."""
    return session.losses.filter(kind="sched")["dropped"].sum()


def check_losses(session, rows):
    losses = session.losses.filter(kind="sched")
    assert losses["delivered"].sum() == rows
    assert (losses["produced"] == losses["delivered"] + losses["dropped"]).all()


@pytest.mark.parametrize("transport", ["ring", "perf"])
def test_threads_that_share_a_cpu_wait_as_long_as_the_kernel_says(tmp_path, capfd, transport):
    code = BUSY.format(cpu=os.cpu_count() - 1)
    script = f"{sys.executable} -c '{code}' & {sys.executable} -c '{code}' & wait"
    session = capture(tmp_path, ["bash", "-c", script], transport=transport)
    found = runs(session)
    told = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert len(told) == 2
    whole = not unseen(session)  # a run that was not seen takes the wait before it along
    for pid, start, end, used, delay, asked in told:
        mine = found.filter(pid=pid)
        within = mine.filter(pl.col("ts").is_between(start, end))
        # Its CPU time leaves out what interrupts and the hypervisor took: that was no waiting.
        waited, most = within["latency"].sum(), end - start - used
        assert waited <= most + 1_000_000
        # The time of its runs between `start` and `end`, in the midst of which two of them are.
        parts = mine.select(
            pl.min_horizontal(pl.col("ts") + pl.col("ran"), end) - pl.max_horizontal("ts", start)
        )
        ran = parts["ts"].clip(lower_bound=0).sum()
        assert ran <= end - start - waited + 1_000_000
        if whole:
            assert waited >= 0.85 * most - 20_000_000
            assert ran >= used - 1_000_000
        assert set(within["cause"]) <= {"preempted", "woken", "unknown"}
        assert set(within["cpu"]) == {os.cpu_count() - 1}
        if delay and whole:  # CONFIG_SCHED_INFO, see kernel/sched/stats.h; since the process began
            before = mine.filter(pl.col("ts") < asked)
            assert before["latency"].sum() == pytest.approx(delay, rel=0.05, abs=10_000_000)
    check_losses(session, session["sched"].num_rows)


def told_by(capfd):
    """(pid, start, end, voluntary, involuntary) of the child and of its parent."""
    return [tuple(map(int, line.split())) for line in capfd.readouterr().out.splitlines()]


def test_every_switch_is_a_run(tmp_path, capfd):
    """The kernel counts switches itself (ru_nvcsw, ru_nivcsw)."""
    session = capture(tmp_path, [sys.executable, "-c", TURNS])
    told, found = told_by(capfd), runs(session)
    slack = 2 + unseen(session)  # one between the time and the count, at each end
    for pid, start, end, voluntary, involuntary in told:
        left = (pl.col("ts") + pl.col("ran")).is_between(start, end)
        mine = found.filter(left, pid=pid)
        preempted = mine.filter(state="preempted").height
        assert abs(preempted - involuntary) <= slack
        assert abs(mine.height - preempted - voluntary) <= slack
    (child, *_), (parent, *_) = told
    # The parent may be gone, and the capture over, before it leaves its CPU for good.
    assert found.filter(pid=child, state="exited").height + unseen(session) >= 1
    assert set(found.filter(pid=child, cause="new")["waker_pid"]) == {parent}
    # A thread runs or is off the CPU, never both: its runs and waits do not overlap, whatever is
    # not seen of them.
    for pid in (child, parent):
        mine = found.filter(pid=pid).sort("ts")
        ready = mine["ts"] - mine["latency"]
        left = mine["ts"] + mine["ran"]
        assert (ready[1:] >= left[:-1]).all()


def test_who_wakes_whom(tmp_path, capfd):
    session = capture(tmp_path, [sys.executable, "-c", TURNS])
    (child, start, end, voluntary, _), (parent, *_) = told_by(capfd)
    within = runs(session).filter(pl.col("ts").is_between(start, end))
    woken = within.filter(pid=child, cause="woken")
    # Each time that it left the CPU by itself it waited for a byte, and its parent sent that.
    assert abs(woken.height - voluntary) <= 3 + unseen(session)
    assert woken.filter(waker_pid=parent, waker="task").height >= woken.height - 3
    found = sched.wakers(session)
    (row,) = found.filter(waker="task", waker_pid=parent, pid=child).iter_rows(named=True)
    assert abs(row["wakeups"] - 1 - woken.height) <= 6 + unseen(session)
    timers = found.filter(waker="interrupt", pid=parent)
    assert timers["waker_tid"].to_list() == [0]
    assert timers["wakeups"][0] > 50
    chains = dict(sched.chains(session).select("chain", "length").iter_rows())
    assert any(chain.count("←") == 2 and chain.endswith("interrupt") for chain in chains)
    assert all(chain.count("←") == length for chain, length in chains.items())


def test_counts_of_the_kernel_are_those_of_the_program(tmp_path, capfd):
    session = capture(tmp_path, [sys.executable, "-c", TURNS], aggregate=True)
    told, threads = told_by(capfd), sched.by_thread(session)
    for pid, _, _, voluntary, involuntary in told:
        (row,) = threads.filter(pid=pid, tid=pid).iter_rows(named=True)
        # It also ran before it began to count.
        assert row["runs"] + unseen(session) >= voluntary + involuntary - 2
        assert row["runs"] - row["preempted"] <= voluntary + 40
        assert row["p50"] <= row["max"]
        assert row["ran"].total_seconds() > 0
    rows = session["sched_agg"].polars()
    known = rows["latency_hist"].arr.sum().sum()
    assert sched.latency_histogram(session)["runs"].sum() == known
    assert rows["runs"].sum() - known <= rows.height + unseen(session) + 2
    check_losses(session, rows["runs"].sum())


def test_a_thread_that_moves(tmp_path, capfd):
    if os.cpu_count() < 2:
        pytest.skip("one CPU only")
    code = "import os\nfor i in range(40): os.sched_setaffinity(0, [i % 2])"
    found = runs(capture(tmp_path, [sys.executable, "-c", code]))
    moved = found.filter(pl.col("from_cpu") != pl.col("cpu"))
    assert 38 <= moved.height <= 42 + found.filter(cause="unknown").height
    assert moved["migrations"].min() >= 1
    assert found["migrations"].sum() >= 38


def test_what_is_under_way_at_the_end(tmp_path):
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as child:
        try:
            with wb.capture("sched", pid=child.pid, output=tmp_path / "s.wb"):
                time.sleep(0.5)
        finally:
            child.kill()
    session = wb.open(tmp_path / "s.wb")
    last = runs(session).filter(open=1)
    if last.is_empty():  # alone on its CPU from before the first switch that could be seen
        assert session["sched"].num_rows == 0
    else:
        assert last.select("pid", "state").rows() == [(child.pid, "none")]
        assert last["ran"][0] + last["latency"][0] > 0
    check_losses(session, session["sched"].num_rows)


def test_short_waits_can_be_left_out(tmp_path, capfd):
    found = runs(capture(tmp_path, [sys.executable, "-c", TURNS], min_us=20))
    assert found.filter(pl.col("latency") < 20_000, open=0).is_empty()


def test_what_is_lost_is_counted(tmp_path, capfd):
    session = capture(
        tmp_path,
        [sys.executable, "-c", TURNS.replace("100", "3000").replace("time.sleep(0.001)", "pass")],
        ring_bytes=4096,
    )
    told = sum(sum(row[3:]) for row in told_by(capfd))
    losses = session.losses.filter(kind="sched")
    assert losses["dropped"].sum() > 100
    assert losses["produced"].sum() >= told - 4
    check_losses(session, session["sched"].num_rows)
