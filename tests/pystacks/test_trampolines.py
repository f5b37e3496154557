"""Python whose functions run as machine code of their own: ``-X perf`` (3.12), the JIT (3.14)."""

from __future__ import annotations

import subprocess
from pathlib import Path

import polars as pl
import pytest
from pystacks_interpreters import (
    CONTAINER,
    SCENARIOS,
    Workload,
    by_thread,
    compiled_stacks,
    interpreters,
    recorded,
)

import workbench as wb

pytestmark = pytest.mark.kernel

COMMANDS = {
    name: command for name, command in interpreters().items() if not name.startswith("3.11")
}
PROGRAM = """
import functools, time

def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)

def reduced(a, b):
    return sum(sorted(range(20), key=lambda n: fib(8)))

def spin():
    while time.process_time() < 1:  # of the CPU: as many samples on a busy machine
        functools.reduce(reduced, [1, 2, 3])

spin()
"""
JIT = "import sys; sys.exit(not (hasattr(sys, '_jit') and sys._jit.is_available()))"


def has_jit(command):
    return subprocess.run([*command, "-c", JIT], check=False).returncode == 0


WITH_JIT = {name: command for name, command in COMMANDS.items() if has_jit(command)}


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    return compiled_stacks(tmp_path_factory.mktemp("trampolines"))


def remove_names(command, pid):
    """Remove the file in which the interpreter named its code; it lies in its own root."""
    root = command[len(CONTAINER)] if command[: len(CONTAINER)] == [*CONTAINER] else "/"
    (Path(root) / f"tmp/perf-{pid}.map").unlink(missing_ok=True)


@pytest.mark.parametrize("python", COMMANDS)
def test_each_function_is_entered_from_its_trampoline(program, python):
    workload = Workload(COMMANDS[python], "-X", "perf")
    try:
        with recorded(program, workload, "call") as recorder:
            for scenario in SCENARIOS:
                told = workload.run(scenario)
                stacks = recorder.drain()
                assert by_thread((s.tid, s.frames) for s in stacks) == by_thread(told), scenario
                assert {s.status for s in stacks} == {0}
                if scenario == "recursion":
                    assert all(all(s.entries) for s in stacks)
    finally:
        workload.close()
        remove_names(COMMANDS[python], workload.pid)


@pytest.mark.parametrize("python", COMMANDS)
def test_stacks_with_trampolines_reach_the_root(python):
    command = COMMANDS[python]
    session = wb.capture(["cpu"], command=[*command, "-X", "perf", "-c", PROGRAM], hz=499)
    remove_names(command, session.manifest.target["pid"])
    frames = {row["frame_id"]: row for row in session["frames"].arrow().to_pylist()}
    stacks = {
        row["stack_id"]: [frames[number] for number in row["frame_ids"]]
        for row in session["stacks"].arrow().to_pylist()
    }
    whole = [
        stacks[row["stack_id"]]
        for row in session["cpu"].arrow().to_pylist()
        if row["stack_status"] == "complete"
    ]
    found = 0
    for stack in whole:
        names = [frame["function"] for frame in stack if frame["kind"] == "python"]
        if "spin" not in names:
            continue  # it starts
        found += 1
        assert names[-2:] == ["spin", "<module>"]
        assert set(names) <= {"fib", "reduced.<locals>.<lambda>", "reduced", "spin", "<module>"}
        # What a trampoline is about to enter may have no Python frame yet.
        inner = stack[next(n for n, frame in enumerate(stack) if frame["kind"] == "python") :]
        assert not [frame for frame in inner if frame["function"].startswith("py::")]
    assert found > 100
    assert "frame_pointer_end" not in session["cpu"].polars()["stack_status"].unique()


@pytest.mark.skipif(not WITH_JIT, reason="no Python with a JIT here")
@pytest.mark.parametrize("python", WITH_JIT)
def test_the_jit(program, python):
    workload = Workload(["env", "PYTHON_JIT=1", *WITH_JIT[python]])
    try:
        with recorded(program, workload, "call") as recorder:
            workload.run("busy")  # makes hot what all scenarios run
            for scenario in SCENARIOS:
                told = workload.run(scenario)
                stacks = recorder.drain()
                assert by_thread((s.tid, s.frames) for s in stacks) == by_thread(told), scenario
                assert {s.status for s in stacks} == {0}
    finally:
        workload.close()


@pytest.mark.skipif(not WITH_JIT, reason="no Python with a JIT here")
@pytest.mark.parametrize("python", WITH_JIT)
def test_stacks_through_code_of_the_jit_reach_the_root(python):
    """That code has no tables and no frame pointers: bpf/code.bpf.h."""
    command = ["env", "PYTHON_JIT=1", *WITH_JIT[python], "-c", PROGRAM]
    session = wb.capture(["cpu"], command=command, hz=499)
    frames = session["frames"].polars().filter(pl.col("module") == "[anon]")["frame_id"]
    stacks = session["stacks"].polars().explode("frame_ids").rename({"frame_ids": "frame_id"})
    through = stacks.filter(pl.col("frame_id").is_in(frames.to_list()))["stack_id"].unique()
    samples = session["cpu"].polars().with_columns(pl.col("stack_status").cast(pl.String))
    jit = samples.filter(pl.col("stack_id").is_in(through.to_list()))
    assert len(jit) > 100
    assert set(jit["stack_status"]) <= {"complete", "image_missing"}  # the latter at its start
    assert "frame_pointer_end" not in samples["stack_status"].unique()
