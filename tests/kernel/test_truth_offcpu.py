"""Off-CPU time of programs that know how long they waited, for whom, and how often."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from programs import compiled

import workbench as wb
from workbench.demo import program
from workbench.frames.folded import folded

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("nothing_left")]

TEXTS = pl.col("state", "waker", "stack_status", "waker_stack_status").cast(pl.String)
NS = pl.col("blocked", "runnable").cast(pl.Int64)
# Tells of each sleep, before and after: boot clock, CPU time, voluntary and involuntary switches.
SLEEPER = """
import resource, time
def read():
    used = resource.getrusage(resource.RUSAGE_THREAD)
    return (time.clock_gettime_ns(time.CLOCK_BOOTTIME),
            time.clock_gettime_ns(time.CLOCK_THREAD_CPUTIME_ID), used.ru_nvcsw, used.ru_nivcsw)
for i in range(40):
    before = read()
    time.sleep(0.001 * (i % 5) + 0.002)
    print(*before, *read())
"""
BUSY = """
import json, os, time
def cpu(): return time.clock_gettime_ns(time.CLOCK_PROCESS_CPUTIME_ID)
os.sched_setaffinity(0, [{cpu}])
def now(): return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
start, used = now(), cpu()
while now() - start < 1_000_000_000: pass
end, used = now(), cpu() - used
delay = int(open("/proc/self/schedstat").read().split()[1])
print(json.dumps([os.getpid(), start, end, used, delay, now()]))
"""


def capture(tmp_path, command, **options):
    return wb.capture("offcpu", command=command, output=tmp_path / "s.wb", **options)


def periods(session, **conditions):
    """Rows with texts instead of categories, times as integers."""
    found = session["offcpu"].polars().with_columns(NS, TEXTS)
    return found.filter(**conditions)


def boot_clock(session):
    """Periods with the times of the boot clock, which programs can read."""
    offset = session.manifest.clock["offset_start_ns"]
    return periods(session).with_columns(pl.col("ts").dt.timestamp("ns") - offset)


def off_between(found, start, end):
    mine = found.filter(pl.col("ts").is_between(start, end))
    return mine["blocked"].sum() + mine["runnable"].sum()


def stolen_ns():
    """Time that the hypervisor gave to others, of all CPUs (proc_stat(5), the eighth figure)."""
    return (
        int(Path("/proc/stat").read_text().split()[8]) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    )


def check_waits(found, waits, unseen, stolen):
    """Compare what a thread knows of its waits with its periods off the CPU: they are all of it.

    A wait is boot clock, CPU time, voluntary and involuntary switches before it, and after it. It
    is made of time off the CPU and of CPU time, which overlap by what switching takes. What the
    hypervisor says that it took is in neither; it says so to 10 ms.
    """
    extra, late = [], []
    for (
        start,
        cpu,
        voluntary,
        involuntary,
        end,
        cpu_then,
        voluntary_then,
        involuntary_then,
    ) in waits:
        rows = found.filter(pl.col("ts").is_between(start, end)).height
        switches = voluntary_then + involuntary_then - voluntary - involuntary
        extra.append(end - start - off_between(found, start, end))
        if extra[-1] > cpu_then - cpu + 50_000:
            late.append((extra[-1], rows < switches))
    assert min(extra) >= 0
    assert sorted(extra)[len(extra) // 2] < 100_000  # 20 to 50 us
    assert sum(missed for _, missed in late) <= unseen
    others = [ns for ns, missed in late if not missed]
    assert len(others) <= 2
    assert sum(others) <= stolen + 10_000_000


def slept(found, waits):
    """Periods of sleep within what a thread tells of its waits, and how many there have to be."""
    within = pl.any_horizontal(pl.col("ts").is_between(row[0], row[4]) for row in waits)
    return found.filter(within, state="sleeping"), sum(row[6] - row[2] for row in waits)


@pytest.mark.parametrize("transport", ["ring", "perf"])
def test_sleeps_take_as_long_as_the_program_says(tmp_path, capfd, transport):
    before = stolen_ns()
    session = capture(tmp_path, [sys.executable, "-c", SLEEPER], transport=transport)
    stolen = stolen_ns() - before
    told = [tuple(map(int, line.split())) for line in capfd.readouterr().out.splitlines()]
    assert len(told) == 40
    stacks = folded(session, "offcpu", by=())["stack"].to_list()
    assert any("clock_nanosleep" in stack for stack in stacks)
    found = boot_clock(session)
    losses = session.losses.filter(kind="offcpu")
    assert losses["delivered"].sum() == session["offcpu"].num_rows
    unseen = losses["dropped"].sum()  # see test_every_switch_is_an_event
    assert unseen < 8
    check_waits(found, told, unseen, stolen)
    # At times another program gets the CPU just before the sleep, and it is none then.
    sleeps, voluntary = slept(found, told)
    assert voluntary - unseen <= sleeps.height <= voluntary
    # A timer's interrupt on top of init is not seen.
    assert set(sleeps["waker"]) <= {"interrupt", "none"}
    assert sleeps.filter(waker="interrupt").height >= sleeps.height - 4
    assert set(sleeps["waker_tid"]) == {0}


@pytest.fixture(scope="module")
def pingpong(tmp_path_factory):
    source = Path(__file__).with_name("pingpong.c").read_text()
    folder = tmp_path_factory.mktemp("pingpong")
    return str(compiled(folder, "pingpong", source, "gcc", "-O1", "-fno-omit-frame-pointer"))


def told_by(capfd):
    rows = [tuple(map(int, line.split())) for line in capfd.readouterr().out.splitlines()]
    return {tid: counts for tid, *counts in rows}


def test_every_switch_is_an_event(tmp_path, capfd, pingpong):
    """The kernel counts switches itself (ru_nvcsw, ru_nivcsw)."""
    session = capture(tmp_path, [pingpong, "20000"])
    told = told_by(capfd)
    found = periods(session)
    # Where programs may not run in the context of init, its switches to a thread are not seen.
    unseen = session.losses.filter(kind="offcpu")["dropped"].sum()
    assert unseen < 200  # of 40,000; more where pid 1 is busy
    for tid, (voluntary, involuntary) in told.items():
        states = found.filter(tid=tid)["state"].value_counts()
        counts = dict(states.iter_rows())
        # Before main() and after they have told the threads run, too.
        assert voluntary <= counts["sleeping"] + unseen <= voluntary + 3 + unseen
        assert involuntary <= counts["preempted"] + unseen <= involuntary + 50 + unseen
    assert 1 - unseen <= found.filter(state="new").height <= 1
    switches = sum(sum(counts) for counts in told.values())
    assert switches <= found.height + unseen <= switches + 100


def test_wakers_and_their_stacks(tmp_path, capfd, pingpong):
    session = capture(tmp_path, [pingpong, "20000"], waker_stacks=True)
    main, other = told_by(capfd)
    waits = periods(session, state="sleeping").filter(pl.col("waker_tid") != 0)
    pairs = waits.group_by("tid", "waker_tid").len().sort("len", descending=True).head(2)
    assert set(pairs.select("tid", "waker_tid").iter_rows()) == {(main, other), (other, main)}
    assert set(waits["waker"]) == {"task"}
    names = stack_names(session)
    whole = waits.filter(stack_status="complete", waker_stack_status="complete")
    # The first ones come before the tables of unwinding: on a busy machine, part of a second.
    assert whole.height > 0.5 * waits.height
    assert whole.height > 0.9 * waits.filter(pl.col("ts") >= whole["ts"].min()).height
    steps = {main: ("wait_for_pong", "send_pong"), other: ("wait_for_ping", "send_ping")}
    right = [
        steps[tid][0] in names[one] and steps[tid][1] in names[two]
        for tid, one, two in whole.select("tid", "stack_id", "waker_stack_id").iter_rows()
    ]
    assert sum(right) >= len(right) - 4  # the last ones are of pthread_join and the exit
    preempted = periods(session, state="preempted")["waker_stack_id"]
    assert preempted.null_count() == len(preempted)


def stack_names(session):
    frames = dict(session["frames"].polars().select("frame_id", "function").iter_rows())
    return {
        number: [frames[frame] for frame in ids]
        for number, ids in session["stacks"].polars().iter_rows()
    }


def test_waits_for_a_lock_end_with_its_owner(tmp_path, capfd):
    source = Path(__file__).with_name("convoy.c").read_text()
    program = compiled(tmp_path, "convoy", source, "gcc", "-O1", "-pthread")
    before = stolen_ns()
    session = capture(tmp_path, [str(program), "30"], waker_stacks=True)
    stolen = stolen_ns() - before
    owner, *told = [tuple(map(int, line.split())) for line in capfd.readouterr().out.splitlines()]
    assert len(told) == 30
    found = boot_clock(session).filter(pl.col("tid") == pl.col("pid"))
    unseen = session.losses.filter(kind="offcpu")["dropped"].sum()
    check_waits(found, told, unseen, stolen)
    # The holder may be done before it is wanted, or while another program has the CPU of the one
    # who wants: the thread counts how often it waited.
    waits, voluntary = slept(found, told)
    assert voluntary - unseen <= waits.height <= voluntary
    assert set(waits["waker_tid"]) == set(owner)
    names = stack_names(session)
    whole = waits.filter(stack_status="complete")["stack_id"]
    assert all("want" in names[number] for number in whole)
    assert len(whole) > 0.5 * len(waits)  # the first ones may come before the tables of unwinding
    wakes = [names[n] for n in waits["waker_stack_id"].drop_nulls()]
    assert sum("give_back" in stack for stack in wakes) >= waits.height - 4


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_sleeps_take_as_long_as_strace_says(tmp_path, capfd):
    """Strace times each call of the very same run: that is time off the CPU, and little more."""
    # Its sleeps are relative: however long strace stops it on the way, each takes 4 ms.
    sleeps = program("sleep", "--count", "50", "--ns", "4000000")
    trace = tmp_path / "trace"
    options = ["-f", "-ttt", "-T", "-e", "trace=clock_nanosleep", "-o", str(trace)]
    before = stolen_ns()
    session = capture(tmp_path, ["strace", *options, *sleeps])
    stolen = stolen_ns() - before
    words = [line.split() for line in trace.read_text().splitlines() if "clock_nanosleep" in line]
    assert len(words) == 50
    found = periods(session, pid=int(words[0][0])).with_columns(pl.col("ts").dt.timestamp("ns"))
    end = pl.col("ts") + pl.col("blocked") + pl.col("runnable")
    rest, states = [], []
    for _, time_us, *_, took in words:  # UTC, and "<0.004123>"
        start = int(time_us.replace(".", "")) * 1000
        stop = start + round(float(took.strip("<>")) * 1e9)
        # It is stopped while strace looks at the clock: periods that lie in the call in part.
        parts = pl.min_horizontal(end, stop) - pl.max_horizontal("ts", start)
        rest.append(stop - start - found.select(parts.clip(0).sum()).item())
        states.append(found.filter(pl.col("ts").is_between(start, stop))["state"].to_list())
    # It sleeps once in each, unless that is not seen (see test_every_switch_is_an_event), or
    # another program gets the CPU just before, and the time is over when the CPU comes back.
    unseen = session.losses.filter(kind="offcpu")["dropped"].sum()
    assert {each.count("sleeping") for each in states} <= {0, 1}
    assert sum(not {"sleeping", "preempted"} & set(each) for each in states) <= unseen
    assert sum("sleeping" in each for each in states) >= 45 - unseen
    # The rest is its CPU time, some 15 us each, and what the hypervisor takes, who says so to
    # 10 ms: that are 5 % of the whole.
    assert min(rest) >= 0
    assert sorted(rest)[25] < 100_000
    assert sum(sorted(rest)[: 50 - unseen]) <= 10_000_000 + stolen


def test_what_is_lost_is_counted(tmp_path, capfd, pingpong):
    session = capture(tmp_path, [pingpong, "20000"], ring_bytes=4096)
    told = sum(sum(counts) for counts in told_by(capfd).values())
    losses = session.losses.filter(kind="offcpu")
    assert losses["delivered"].sum() == session["offcpu"].num_rows
    assert losses["dropped"].sum() > 1000
    assert losses["produced"].sum() == losses["delivered"].sum() + losses["dropped"].sum()
    assert told <= losses["produced"].sum() <= told + 100
    assert losses.columns.count("unaccounted") == 0


def test_threads_that_share_a_cpu_wait_for_it(tmp_path, capfd):
    code = BUSY.format(cpu=os.cpu_count() - 1)
    script = f"{sys.executable} -c '{code}' & {sys.executable} -c '{code}' & wait"
    before = stolen_ns()
    session = capture(tmp_path, ["bash", "-c", script])
    found = boot_clock(session)
    # A switch that was not seen takes a time slice along.
    unseen = session.losses.filter(kind="offcpu")["dropped"].sum()
    slack = 3_000_000 + 10_000_000 * unseen + stolen_ns() - before
    assert unseen < 10
    told = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert len(told) == 2
    for pid, start, end, used, delay, asked in told:
        mine = found.filter(pl.col("ts").is_between(start, end), pid=pid)
        assert mine["runnable"].sum() == pytest.approx(end - start - used, rel=0.03, abs=slack)
        assert set(mine["state"]) == {"preempted"}
        assert mine["blocked"].sum() == 0
        if delay:  # kernels with CONFIG_SCHED_INFO; since the process began
            first = found.filter(pl.col("ts") < asked, pid=pid)  # it also waits while it ends
            assert first["runnable"].sum() == pytest.approx(delay, rel=0.03, abs=slack)


def test_short_periods_can_be_left_out(tmp_path, capfd):
    session = capture(tmp_path, [sys.executable, "-c", SLEEPER], min_us=4500)
    told = [tuple(map(int, line.split())) for line in capfd.readouterr().out.splitlines()]
    found = boot_clock(session)
    unseen = session.losses.filter(kind="offcpu")["dropped"].sum()
    # Of 40 sleeps, 16 take 5 or 6 ms; others do where the CPUs are busy. The program knows how long
    # it was off the CPU where that was once, to some microseconds, and how long it was at most.
    rows, missing = [], 0
    for start, cpu, *before, end, cpu_then, voluntary, involuntary in told:
        rows.append(found.filter(pl.col("ts").is_between(start, end)).height)
        if end - start < 4_500_000:
            assert not rows[-1]
        elif voluntary + involuntary - sum(before) == 1:
            missing += end - start - (cpu_then - cpu) > 4_500_000 and not rows[-1]
    assert missing <= unseen + 1  # one on the edge
    assert sum(rows) >= 12 - unseen
    assert (found["blocked"] + found["runnable"]).min() >= 4_500_000


def until_state(pid, state):
    """Wait until a process is in a state (proc_pid_stat(5), the third figure)."""
    deadline = time.monotonic() + 30
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != state:
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.mark.parametrize("least", [0, 60_000_000])
def test_threads_that_do_not_come_back(tmp_path, least):
    code = "import time\ninput(); print(1, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as child:  # fmt: skip
        try:
            time.sleep(0.2)
            with wb.capture("offcpu", pid=child.pid, output=tmp_path / "s.wb", min_us=least):
                began = time.monotonic_ns()
                child.stdin.write("\n")
                child.stdin.flush()
                child.stdout.readline()
                until_state(child.pid, "S")
                asleep = time.monotonic_ns()
                time.sleep(0.4)
                least_time = time.monotonic_ns() - asleep
            took = time.monotonic_ns() - began
            session = wb.open(tmp_path / "s.wb")
        finally:
            child.kill()
    last = periods(session, open=1)
    assert session.losses.filter(kind="offcpu")["delivered"].sum() == session["offcpu"].num_rows
    if least:
        assert last.is_empty()
        return
    assert last.select("pid", "state").rows() == [(child.pid, "sleeping")]
    assert least_time <= last["blocked"][0] < took
    assert any("nanosleep" in name for name in stack_names(session)[last["stack_id"][0]])
    assert periods(session, open=0).height == session["offcpu"].num_rows - 1


def test_stopped_by_a_signal(tmp_path):
    code = "import time\nfor i in range(100000): time.sleep(0.01)"
    with subprocess.Popen([sys.executable, "-c", code]) as child:
        try:
            with wb.capture("offcpu", pid=child.pid, output=tmp_path / "s.wb"):
                time.sleep(0.1)
                began = time.monotonic_ns()
                child.send_signal(signal.SIGSTOP)
                until_state(child.pid, "T")
                stopped = time.monotonic_ns()
                time.sleep(0.2)
                least = time.monotonic_ns() - stopped
                child.send_signal(signal.SIGCONT)
                took = time.monotonic_ns() - began
                time.sleep(0.1)
        finally:
            child.kill()
    (stop,) = periods(wb.open(tmp_path / "s.wb"), state="stopped").iter_rows(named=True)
    assert least <= stop["blocked"] < took
    assert (stop["waker_pid"], stop["waker"]) == (os.getpid(), "task")


def test_a_packet_to_this_machine_is_the_senders_wake_up(tmp_path):
    """It arrives in a softirq on top of the sender."""
    code = "import socket; s = socket.socket(fileno=0)\nfor i in range(100000): s.recv(9)"
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as inbox,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outbox,
    ):
        inbox.bind(("127.0.0.1", 0))
        with subprocess.Popen([sys.executable, "-c", code], stdin=inbox) as child:
            try:
                time.sleep(0.3)
                until_state(child.pid, "S")
                with wb.capture("offcpu", pid=child.pid, output=tmp_path / "s.wb"):
                    for _ in range(50):
                        outbox.sendto(b"x", inbox.getsockname())
                        time.sleep(0.001)
                        until_state(child.pid, "S")
            finally:
                child.kill()
    session = wb.open(tmp_path / "s.wb")
    found = periods(session, state="sleeping", open=0)
    wakes = dict(found.group_by("waker", "waker_tid").len().select("waker", "len").iter_rows())
    # Of 50; ksoftirqd takes some where softirqs come in quick succession (kernel/softirq.c).
    assert wakes["softirq"] >= 45 - session.losses.filter(kind="offcpu")["dropped"].sum()
    assert os.getpid() in found.filter(waker="softirq")["waker_pid"]


def test_direct_writes_wait_for_the_device(tmp_path, capfd):
    command = ["dd", "if=/dev/zero", f"of={tmp_path / 'x'}", "bs=1M", "count=20", "oflag=direct"]
    if subprocess.run(command, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("no direct writes to this file system")
    found = periods(capture(tmp_path, command))
    waits = found.filter(state="io_wait")
    assert 10 <= waits.height <= 60
    assert waits["blocked"].sum() > 0.5 * found["blocked"].sum()
