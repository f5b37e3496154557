"""CPU samples of programs whose use of the CPU is known."""

import json
import re
import resource
from datetime import timedelta

import polars as pl
import pytest

import workbench as wb
from workbench.demo import program
from workbench.frames.flame import flame_tree
from workbench.frames.folded import folded

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("nothing_left")]


def share(frame, function):
    """Part of the samples that has the function in its stack."""
    mine = frame.filter(pl.col("stack").str.contains(f";{function}(;|$)"))
    return mine["weight"].sum() / frame["weight"].sum()


@pytest.mark.parametrize("transport", ["ring", "perf"])
def test_a_burner_with_a_known_split(tmp_path, capfd, transport):
    session = wb.capture(
        "cpu",
        command=program("burn", "--seconds", "3"),
        hz=499,
        transport=transport,
        output=tmp_path / "s.wb",
    )
    told = json.loads(capfd.readouterr().out)
    three, one = told["burn_three"], told["burn_one"]
    stacks = folded(session)
    assert stacks["weight"].sum() > 500
    # Of 1500 samples that hit slices of random lengths: a standard deviation of 0.011.
    assert share(stacks, "burn_three") == pytest.approx(three / (three + one), abs=0.06)
    assert share(stacks, "burn_one") == pytest.approx(one / (three + one), abs=0.06)
    assert share(stacks, "main") > 0.97
    assert session.losses["dropped"].sum() == 0
    assert session.losses.filter(kind="cpu")["delivered"].sum() == session["cpu"].num_rows
    tree = flame_tree(session)
    assert tree.total == stacks["weight"].sum() == session["cpu"].num_rows


def test_samples_are_cpu_time(tmp_path, capfd):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    session = wb.capture(
        "cpu", command=program("burn", "--seconds", "2"), hz=999, output=tmp_path / "s.wb"
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    pid = session["processes"].polars()["pid"][0]
    samples = session["cpu"].polars().filter(pl.col("pid") == pid).height
    told = json.loads(capfd.readouterr().out)
    # Ticks that a hypervisor delays to the next one are lost.
    assert 0.8 < samples / 999 / (told["burn_three"] + told["burn_one"]) < 1.05
    # The recorder, which the children's usage counts too, was not sampled.
    assert samples / 999 < (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)


def test_kernel_frames_have_names(tmp_path, capfd):
    command = ["dd", "if=/dev/zero", "of=/dev/null", "bs=64k", "count=600000"]
    session = wb.capture("cpu", command=command, hz=999, output=tmp_path / "s.wb")
    stacks = folded(session)
    assert share(stacks, "vfs_read") > 0.3
    frames = session["frames"].polars().with_columns(pl.col("kind").cast(pl.String))
    kernel = frames.filter(pl.col("kind") == "kernel")
    known = {line.split()[2] for line in open_kallsyms()}
    assert kernel.height > 5
    # A sample may lie in a BPF program, of this capture or another, whose name has gone with it.
    unknown = set(kernel["function"].to_list()) - known
    assert all(re.fullmatch(r"bpf_prog_[0-9a-f]{16}(_\w+)?", name) for name in unknown)


def open_kallsyms():
    with open("/proc/kallsyms") as file:
        return file.readlines()


def test_stacks_can_be_left_out(tmp_path, capfd):
    session = wb.capture(
        {"cpu": {"hz": 499, "kernel_stacks": False}},
        command=program("burn", "--seconds", "0.5"),
        output=tmp_path / "s.wb",
    )
    kinds = session["frames"].polars()["kind"].cast(pl.String).unique().to_list()
    assert "kernel" not in kinds
    assert "native" in kinds


def test_two_kinds_share_one_clock(tmp_path, capfd):
    command = ["dd", "if=/dev/zero", "of=/dev/null", "bs=1", "count=400000"]
    session = wb.capture(["cpu", "syscalls"], command=command, hz=999, output=tmp_path / "s.wb")
    calls, samples = (session[name].polars() for name in ("syscalls", "cpu"))
    # Between what held the command and its execve, and in the last call, which does not return.
    before, after = timedelta(milliseconds=20), timedelta(milliseconds=500)
    assert calls["ts"].min() - before <= samples["ts"].min()
    assert samples["ts"].max() <= calls["ts"].max() + after
    within = samples.filter(pl.col("ts").is_between(calls["ts"].min(), calls["ts"].max()))
    assert within.height >= 0.9 * samples.height
    start, stop = session.manifest.start_ns, session.manifest.stop_ns
    for table in (calls, samples):
        assert start - 5_000_000 <= table["ts"].dt.timestamp("ns").min()
        assert table["ts"].dt.timestamp("ns").max() <= stop
