"""Own probes that are switched off and on while they record: nothing of the time off, all else."""

from __future__ import annotations

import platform
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pytest
from probed import last

import workbench as wb
from workbench.client import CaptureProblemWarning
from workbench.errors import ParameterError
from workbench.syscalls_table import number_of

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("nothing_left")]
CALLS = 50
POINT = "uprobe:libc:getppid"
CHILD = f"""
import os
while os.read(0, 1):
    for _ in range({CALLS}):
        os.getppid()
    os.write(1, b"x")
"""


@contextmanager
def rounds():
    """A process that calls getppid() 50 times whenever the function is called, then waits."""
    command = [sys.executable, "-S", "-E", "-c", CHILD]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:

        def waits():
            number, deadline = number_of(platform.machine())["read"], time.monotonic() + 60
            file = Path(f"/proc/{process.pid}/syscall")
            while not file.read_text().startswith(f"{number} 0x0 "):
                assert time.monotonic() < deadline
                time.sleep(0.005)

        def go():
            process.stdin.write(b"x")
            process.stdin.flush()
            assert process.stdout.read(1) == b"x"
            waits()

        waits()
        yield process.pid, go
        process.kill()


def switched(pid, go, **options):
    """The session of two probes, of which each was off for a while; and in which rounds."""
    capture = wb.probe({"one": POINT, "two": POINT}, pid=pid, **options)
    with capture as session:
        go()
        capture.disable("one")
        capture.disable("one")  # it is already
        go()
        go()
        capture.enable("one")
        capture.enable("one")
        go()
        capture.disable("two")
        go()
    return session


@pytest.mark.parametrize("latency", [False, True])
def test_each_probe_sees_the_rounds_in_which_it_is_on(latency):
    with rounds() as (pid, go):
        session = switched(pid, go, latency=latency)
    assert session["one"].polars().height == 3 * CALLS
    assert session["two"].polars().height == 4 * CALLS
    assert session.manifest.problems == ()
    for name, count in (("one", 3 * CALLS), ("two", 4 * CALLS)):
        mine = session.losses.filter(pl.col("kind") == name)
        assert mine["produced"].sum() == mine["delivered"].sum() == count
        assert mine["dropped"].sum() == 0

    one, two = session.manifest.switched_off
    assert (one["kind"], two["kind"], two["to_ns"]) == ("one", "two", None)
    assert one["from_ns"] < one["to_ns"] < two["from_ns"]
    times = session["one"].polars()["ts"].dt.epoch("ns")
    assert (times < one["from_ns"]).sum() == CALLS
    assert (times > one["to_ns"]).sum() == 2 * CALLS
    assert session["two"].polars()["ts"].dt.epoch("ns").max() < two["from_ns"]


def test_counts_of_groups_go_on():
    with rounds() as (pid, go):
        session = switched(pid, go, aggregate="count")
    assert last(session, "one")["count"].to_list() == [3 * CALLS]
    assert last(session, "two")["count"].to_list() == [4 * CALLS]


def test_calls_that_are_under_way_meanwhile():
    with rounds() as (pid, go):
        capture = wb.probe("uprobe:libc:read", name="reads", latency=True, pid=pid)
        capture.start()
        try:
            go()  # returns from a call that began before the capture; the next one waits
            capture.disable()
            go()  # returns from it unseen; that after it begins unseen
            capture.enable()
            go()
            go()  # the only call of which both are seen
        finally:
            with pytest.warns(CaptureProblemWarning) as told:
                session = capture.stop()
    assert session["reads"].polars().height == 1
    (warning,) = told
    assert "reads: 2 calls had not returned when it was switched off, or at" in str(warning.message)


def test_what_cannot_be_switched():
    with rounds() as (pid, go):
        capture = wb.probe({"one": POINT, "two": POINT}, pid=pid)
        with pytest.raises(ParameterError, match="not been started"):
            capture.disable("one")
        with capture as session:
            with pytest.raises(ParameterError, match="no probe three") as caught:
                capture.disable("three")
            assert caught.value.why == "it has one, two"
            with pytest.raises(ParameterError, match="name one"):
                capture.enable()
            go()
        with pytest.raises(ParameterError, match="has ended"):
            capture.enable("one")
        assert session["one"].num_rows == session["two"].num_rows == CALLS
        assert session.manifest.switched_off == ()
        capture = wb.capture("signals", pid=pid)
        with capture, pytest.raises(ParameterError, match="signals cannot be switched"):
            capture.disable()
