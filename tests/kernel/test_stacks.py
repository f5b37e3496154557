"""Whole stacks of known programs: every function down to main, and how many are whole."""

import platform
import shutil
import signal
import subprocess
import sys
import time

import polars as pl
import pytest
from programs import let_run, lines_of
from stack_programs import MODES, chains, stacks_of

import workbench as wb
from workbench.frames.losses import stack_summary

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("nothing_left")]
WHOLE = ["complete", "kernel_only"]
ROOT = ["_start", "__libc_start_main", "__libc_start_call_main", "main"]
CHAIN = ["one", "two", "three"]
# What lies above `work` in the samples of each mode, root first.
ABOVE = {
    "plain": ["work", "spin"],
    "exceptions": ["work", "catching", *["throwing"] * 10, "throwing.cold", "__cxa_throw"],
    "threads": ["work", "spin"],
    "signals": ["work", "interrupted", "raise", "__pthread_kill_implementation", "handler", "spin"],
    "alternate": ["work", "interrupted", "raise", "handler", "spin"],
    "aligned": ["work", "aligned", "spin"],
    "large": ["work", "large", "spin"],
    "deep": ["work", *["deep"] * 201, "spin"],
    "vdso": ["work", "now", "__vdso_clock_gettime"],
    "plt": ["work", "far_away@plt"],
    "lazy": ["work", "binding", "_dl_fixup"],
    "lazy_signals": ["work", "binding", "brief_handler", "spin"],
}
BUSY = """
import json, re, time
while time.process_time() < 1.5:
    json.dumps(sorted(str(i) for i in range(2000))); re.findall("[0-9]+", "12 34 " * 500)
"""


def settled(samples):
    """Samples but for those of the first second that lack a table.

    Tables are read while the program runs already where that takes longer than a capture waits:
    with an empty cache on a busy machine.
    """
    early = pl.col("ts") < pl.col("ts").min() + pl.duration(seconds=1)
    return samples.filter(~(early & (pl.col("stack_status") == "image_missing")))


def holds(names, wanted):
    """Whether the wanted names come in that order among the names."""
    rest = iter(names)
    return all(name in rest for name in wanted)


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "deeper"])
def test_every_function_down_to_main(tmp_path, tmp_path_factory, mode):
    hz = 3999 if mode == "exceptions" else 999
    session = wb.capture(
        {"cpu": {"hz": hz}}, command=[chains(tmp_path_factory), mode, "2"],
        output=tmp_path / "s.wb",
    )  # fmt: skip
    samples = settled(stacks_of(session))
    whole = samples.filter(pl.col("stack_status").is_in(WHOLE))
    # Before it jumps, libgcc puts the registers of the one that catches into its own frame: there
    # its table is of no use, whoever reads it. In the loop that throws that are 0.6 %, 45 of 8000
    # samples: 0.01 of them is 5 standard deviations away.
    lost = samples.filter(~pl.col("stack_status").is_in(WHOLE)).select("stack_status", "names")
    others = [(status, n) for status, n in lost.rows() if "_Unwind_RaiseException" not in n[:2]]
    jumping = len(lost) - len(others)
    assert len(samples) > 0.5 * hz  # of 2 * hz in 2 s of CPU time
    assert jumping <= (0.01 * len(samples) if mode == "exceptions" else 0)
    assert len(others) <= 0.005 * len(samples), others
    root = ["start_thread", "thread_main"] if mode == "threads" else ROOT
    known = [names for names in whole["names"].to_list() if names and "one" in names]
    assert len(known) >= 0.95 * len(samples)  # the others load the program
    assert all(holds(names, [*root, *CHAIN]) for names in known)
    if mode != "threads":
        assert all(names[:7] == [*ROOT, *CHAIN] for names in known)
    # It takes 4 % of the time or more, beside the way to it and the loop's look at the clock.
    assert sum(holds(names, [*root, *CHAIN, *ABOVE[mode]]) for names in known) > 0.01 * len(samples)


def test_stacks_that_are_too_deep_say_so(tmp_path, tmp_path_factory):
    command = [chains(tmp_path_factory), "deeper", "2"]
    session = wb.capture({"cpu": {"hz": 499}}, command=command, output=tmp_path / "s.wb")
    samples = stacks_of(session)
    deep = samples.filter(pl.col("stack_status") == "truncated")
    assert len(deep) > 0.5 * len(samples)
    assert all(names.to_list().count("deep") > 200 for names in deep["names"])
    assert not any("_start" in names.to_list() for names in deep["names"])
    (row,) = stack_summary(session).iter_rows(named=True)
    assert row["incomplete"] >= len(deep)
    assert "truncated" in row["reasons"]


@pytest.mark.skipif(shutil.which("/usr/bin/python3") is None, reason="no Python of the system")
def test_python_of_the_system(tmp_path):
    command = ["/usr/bin/python3", "-c", BUSY]
    for name in ("first.wb", "s.wb"):  # the first time, tables are made of what it loads later
        session = wb.capture({"cpu": {"hz": 999}}, command=command, output=tmp_path / name)
    samples = stacks_of(session)
    whole = samples.filter(pl.col("stack_status").is_in(WHOLE))
    assert len(whole) >= 0.995 * len(samples) > 500  # of 1500 in 1.5 s of CPU time
    complete = whole.filter(stack_status="complete")  # the others hit execve() and the exit
    assert len(complete) >= 0.99 * len(samples)
    # The dynamic loader's part after its own start has a name of its own.
    roots = {names[0] for names in complete["names"].to_list()}
    assert roots - {"_dl_start_user"} == {"_start"}


def test_a_running_process_and_two_kinds_with_one_set_of_tables(tmp_path, tmp_path_factory):
    with subprocess.Popen([chains(tmp_path_factory), "threads", "60"]) as running:
        with wb.capture(
            {"cpu": {"hz": 499}, "offcpu": {}}, pid=running.pid, output=tmp_path / "s.wb"
        ) as session:
            let_run(running.pid, 2.5)
        running.kill()
    assert stack_summary(session)["stacks"].min() > 200
    for kind in ("cpu", "offcpu"):
        statuses = session[kind].polars().with_columns(pl.col("stack_status").cast(pl.String))
        stacks = settled(statuses)
        whole = stacks.filter(pl.col("stack_status").is_in(WHOLE))
        assert len(stacks) > 100
        assert len(stacks) - len(whole) <= 0.005 * len(stacks), kind


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the exception of a single step")
def test_instructions_that_a_probe_has_displaced(tmp_path, tmp_path_factory):
    """One that a uprobe stands for runs elsewhere, in the area [uprobes], as a step of its own."""
    program, function = chains(tmp_path_factory), "_Unwind_RaiseException"
    (library,) = (line.split()[2] for line in lines_of("ldd", program) if "libgcc_s" in line)
    with subprocess.Popen([program, "exceptions", "60"]) as running:
        with (
            # At its first byte exactly: a few on is one that is emulated.
            wb.probe(f"uprobe:{library}:{function}+0", pid=running.pid, output=tmp_path / "p.wb"),
            wb.capture({"cpu": {"hz": 999}}, pid=running.pid, output=tmp_path / "s.wb") as session,
        ):
            let_run(running.pid, 0.7)
        running.kill()
    samples = settled(stacks_of(session))
    assert not any("[uprobes]" in names for names in samples["names"].to_list() if names)
    whole = samples.filter(pl.col("stack_status").is_in(WHOLE))
    assert len(whole) >= 0.99 * len(samples) > 300
    stepping = [names for names in whole["names"].to_list() if "exc_debug_user" in names]
    assert len(stepping) > 0.1 * len(whole)
    assert all(holds(names, [*ROOT, *CHAIN, "work", "catching", function]) for names in stepping)


def test_nothing_is_left_of_a_recorder_that_is_killed(tmp_path, tmp_path_factory):
    program = chains(tmp_path_factory)
    code = f"import workbench as wb; wb.capture('cpu', command=[{program!r}, 'plain', '30'],"
    code += f" output={str(tmp_path / 's.wb')!r})"
    with subprocess.Popen([sys.executable, "-c", code], start_new_session=True) as client:
        deadline = time.monotonic() + 20
        while not (recorder := child_of(client.pid, "workbench.recorder")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(2)
        subprocess.run(["kill", "-9", str(recorder)], check=True)
        client.send_signal(signal.SIGINT)
        client.wait(20)


def child_of(pid, word):
    """Process id of the child with a word in its command line, or 0."""
    listed = subprocess.run(
        ["pgrep", "-P", str(pid), "-f", word], capture_output=True, text=True, check=False
    )
    return int(listed.stdout.split()[0]) if listed.stdout.split() else 0
