"""Interrupts over programs that know their CPU time and packets, and the kernel's own counts."""

import json
import os
import sys

import polars as pl
import pytest

import workbench as wb
from workbench.frames import irq
from workbench.probe.tracepoints import argument_count

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("nothing_left")]

TICKS = """
import json, os, time
cpu = {cpu}
os.sched_setaffinity(0, [cpu])
def ticks():
    for line in open("/proc/interrupts"):
        if line.split()[0] == "LOC:": return int(line.split()[1 + cpu])
    return 0
before, start, used = ticks(), time.monotonic(), time.process_time()
while time.process_time() - used < 0.5: pass
used, elapsed, after = time.process_time() - used, time.monotonic() - start, ticks()
print(json.dumps([os.getpid(), used, elapsed, after - before]))
"""
PACKETS = """
import json, os, socket, time
def received():
    for line in open("/proc/softirqs"):
        if "NET_RX" in line: return sum(map(int, line.split()[1:]))
inbox = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
inbox.bind(("127.0.0.1", 0))
before = received()
for i in range(400):
    inbox.sendto(b"x", inbox.getsockname())
    inbox.recv(9)
print(json.dumps([os.getpid(), received() - before]))
"""


def capture(tmp_path, code, **options):
    command = [sys.executable, "-c", code]
    return wb.capture("irq", command=command, output=tmp_path / "s.wb", **options)


def check_losses(session, count):
    losses = session.losses.filter(kind="irq")
    assert losses["delivered"].sum() == losses["produced"].sum() == count


@pytest.mark.parametrize(
    "options",
    [{}, {"transport": "perf"}, {"aggregate": True}],
    ids=["ring", "perf", "aggregate"],
)
def test_ticks_of_the_clock(tmp_path, capfd, options):
    if not argument_count("local_timer_entry"):
        pytest.skip("this architecture has no vector for its timer")
    session = capture(tmp_path, TICKS.format(cpu=os.cpu_count() - 1), **options)
    pid, used, elapsed, ticks = json.loads(capfd.readouterr().out)
    found = irq.by_cpu(session).filter(type="local_timer", cpu=os.cpu_count() - 1)
    seen = found["interrupts"].sum()
    # While a program has the CPU it ticks at least 100 times a second (CONFIG_HZ), and more often
    # where it shares the CPU; the program also ran before and after.
    assert 0.7 * 100 * used <= seen
    assert seen <= ticks + 300
    if used > 0.9 * elapsed:
        assert seen >= 0.7 * ticks
    assert 0 < found["taken"].sum().total_seconds() < 0.2 * used
    if options == {"aggregate": True}:
        rows = session["irq_agg"].polars()
        assert (rows["duration_hist"].arr.sum() == rows["interrupts"]).all()
        check_losses(session, rows["interrupts"].sum())
    else:
        rows = session["irq"].polars()
        assert set(rows["pid"]) == {pid}
        check_losses(session, rows.height)


def test_packets_to_this_machine(tmp_path, capfd):
    """Each is received in a softirq on top of the one that sends it."""
    session = capture(tmp_path, PACKETS)
    _, received = json.loads(capfd.readouterr().out)
    (row,) = irq.by_process(session).filter(name="net_rx").iter_rows(named=True)
    assert 200 <= row["interrupts"] <= received + 20  # some are left to ksoftirqd on a busy CPU
    rows = session["irq"].polars()
    soft = rows.filter(pl.col("type").cast(pl.String) == "softirq")
    assert set(soft["handler"]) == {""}
    assert rows["duration"].min().total_seconds() >= 0


def test_devices_have_names(tmp_path):
    target = tmp_path / "x"
    code = f"""
import os
for i in range(15):
    with open({str(target)!r}, "wb") as file:
        file.write(bytes(1 << 20)); file.flush(); os.fsync(file.fileno())
        end = os.times().user + 0.01
        while os.times().user < end: pass
"""
    rows = capture(tmp_path, code)["irq"].polars()
    devices = rows.filter(pl.col("type").cast(pl.String) == "device")
    for number, handler in devices.select("irq", "handler").unique().iter_rows():
        with open(f"/sys/kernel/irq/{number}/actions") as file:
            assert file.read().strip() == handler != ""


def test_short_ones_can_be_left_out(tmp_path, capfd):
    rows = capture(tmp_path, TICKS.format(cpu=0), min_us=5)["irq"].polars()
    assert rows.filter(pl.col("duration").cast(pl.Int64) < 5000).is_empty()
