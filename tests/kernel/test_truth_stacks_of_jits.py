"""Code without tables, one instruction after the other: its stack is the one that calls made."""

from __future__ import annotations

import platform
import subprocess
import time
from pathlib import Path
from subprocess import PIPE

import pytest
from programs import compiled

import workbench as wb

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.usefixtures("nothing_left"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="machine code of x86-64"),
]
BELOW = ["enter", "run", "round_of_steps", "main"]
SOURCE = Path(__file__).with_name("stepped.c").read_text()


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stepped")
    return compiled(folder, "stepped", SOURCE, "gcc", "-O2", "-fno-omit-frame-pointer", "-w")


def test_each_instruction_of_code_without_tables(program):
    """A traced thread leaves its CPU after each instruction: there its stack is recorded."""
    with subprocess.Popen([program], stdin=PIPE, stdout=PIPE, text=True) as running:
        with wb.probe("tracepoint:sched:sched_switch", stacks=True, pid=running.pid) as session:
            running.stdin.write("go\n")
            running.stdin.flush()
            told = {tuple(line.split()) for line in running.stdout}
            end = time.monotonic() + 60
            found = set()
            while not told <= found and time.monotonic() < end:
                time.sleep(0.5)
                session.refresh()
                found = whole_stacks(session)
        running.stdin.close()
    assert whole_stacks(session) == told
    assert len(told) > 80


def whole_stacks(session):
    """Stacks down to `enter`, of the samples whose unwind tables were there already."""
    if not {"frames", "stacks", "sched_switch"} <= set(session.tables):
        return set()
    frames = {row["frame_id"]: row for row in session["frames"].arrow().to_pylist()}
    stacks = {row["stack_id"]: row["frame_ids"] for row in session["stacks"].arrow().to_pylist()}
    switches = session["sched_switch"].polars().select("stack_id", "stack_status").unique()
    found = set()
    for number, status in switches.rows():
        every = [frames[frame] for frame in stacks.get(number, []) if frame in frames]
        stack = [place(frame) for frame in every if frame["kind"] != "kernel"]
        if status == "image_missing" or not stack or not stack[0].startswith(("leafy", "0x")):
            continue
        end = stack.index("enter") if "enter" in stack else len(stack)
        assert (status, stack[end : end + len(BELOW)]) == ("complete", BELOW), stack
        found.add(tuple(stack[:end]))
    return found


def place(frame):
    """Return the function, or the address of code without a name."""
    return f"{frame['offset']:#x}" if frame["module"] == "[anon]" else frame["function"]
