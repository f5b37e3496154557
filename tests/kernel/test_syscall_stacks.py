"""The option ``stacks`` of ``syscalls``: who made the call, in programs that know."""

import sys
from collections import Counter

import polars as pl
import pytest
from programs import compiled

import workbench as wb
from workbench.errors import ParameterError
from workbench.event_texts import WHOLE_STACKS
from workbench.frames.folded import folded
from workbench.frames.losses import stack_summary

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("nothing_left")]
CALLERS = """
#include <unistd.h>
#define CALL(name, next) __attribute__((noinline)) void name(int fd) { next; __asm__(""); }
CALL(one, (void)!write(fd, "1", 1))
CALL(two, one(fd); (void)!write(fd, "22", 2))
CALL(three, two(fd); (void)!read(fd, &fd, 0))
int main(void)
{
	int fd[2];
	if (pipe(fd)) return 1;
	usleep(700000); /* tables that are not cached are read meanwhile */
	for (int i = 0; i < 500; i++) three(fd[1]);
	return 0;
}
"""
NESTED = """
import os, time
time.sleep(0.7)  # the interpreter is found some milliseconds after it began
fd = os.open("/dev/null", os.O_WRONLY)
def inner(text): os.write(fd, text)
def outer():
    for i in range(300): inner(b"x" * 7)
outer()
"""

THREADS = """
import os, threading, time
time.sleep(0.7)
fd = os.open("/dev/null", os.O_WRONLY)
def worker(): os.write(fd, b"x" * 7)
for _ in range(300):
    thread = threading.Thread(target=worker)
    thread.start()
    thread.join()
"""

FORKS = """
import os, time
time.sleep(0.7)
fd = os.open("/dev/null", os.O_WRONLY)
def worker(): os.write(fd, b"x" * 7)
for _ in range(100):
    child = os.fork()
    if not child:
        worker()
        os._exit(0)
    os.waitpid(child, 0)
"""


def named_stacks(session):
    frames = dict(session["frames"].polars().select("frame_id", "function").iter_rows())
    return {n: [frames[i] for i in ids] for n, ids in session["stacks"].polars().iter_rows()}


def calls(session, name):
    """Stacks of each call of that name, leaf first."""
    stacks = named_stacks(session)
    found = session["syscalls"].polars().filter(pl.col("name").cast(pl.String) == name)
    return [stacks[number] for number in found["stack_id"]], found


@pytest.mark.parametrize("transport", ["ring", "perf"])
def test_every_call_has_its_caller(tmp_path, transport):
    program = compiled(tmp_path, "callers", CALLERS, "gcc", "-O2", "-fomit-frame-pointer")
    session = wb.capture(
        "syscalls", stacks=True, command=[str(program)], transport=transport,
        output=tmp_path / "s.wb",
    )  # fmt: skip
    written, rows = calls(session, "write")
    assert len(written) == 1000
    chains = Counter((row, *stack[1:5]) for row, stack in zip(rows["ret"], written, strict=True))
    rest = ("three", "main", "__libc_start_call_main")
    assert chains[1, "one", "two", *rest[:2]] >= 498  # the first ones may lack a table
    assert chains[2, "two", *rest] >= 498
    assert all(stack[0].endswith("write") for stack in written)
    (losses,) = stack_summary(session).iter_rows(named=True)
    assert losses["kind"] == "syscalls"
    statuses = session["syscalls"].polars()["stack_status"].cast(pl.String)
    assert losses["incomplete"] == statuses.is_in(WHOLE_STACKS).not_().sum()
    assert statuses.is_in([*WHOLE_STACKS, "image_missing"]).not_().sum() <= 5
    by_stack = folded(session, "syscalls", by=()).filter(pl.col("stack").str.contains("one;"))
    assert by_stack["weight"].sum() == 500
    times = folded(session, "syscalls", by=(), weight="latency")
    assert times["weight"].sum() == session["syscalls"].polars()["latency"].cast(pl.Int64).sum()
    assert session.losses["dropped"].sum() == 0


def test_python_functions_that_call(tmp_path):
    session = wb.capture(
        {"syscalls": {"stacks": True, "syscalls": ["write"]}},
        command=[sys.executable, "-c", NESTED], output=tmp_path / "s.wb",
    )  # fmt: skip
    stacks, rows = calls(session, "write")
    mine = [stack for stack, n in zip(stacks, rows["ret"], strict=True) if n == 7]
    assert len(mine) == 300
    whole = [stack for stack in mine if "inner" in stack]
    assert len(whole) >= 295
    assert all(stack.index("inner") < stack.index("outer") for stack in whole)
    assert "Flamegraph: syscalls" in session.report(tmp_path / "r.html").read_text()


@pytest.mark.parametrize(("program", "count"), [(THREADS, 300), (FORKS, 100)])
def test_python_goes_on_while_threads_and_children_start(tmp_path, program, count):
    """A new thread is no new process, and a child that was forked has its parent's interpreter."""
    session = wb.capture(
        {"syscalls": {"stacks": True, "syscalls": ["write"]}},
        command=[sys.executable, "-c", program], output=tmp_path / "s.wb",
    )  # fmt: skip
    stacks, rows = calls(session, "write")
    mine = [stack for stack, n in zip(stacks, rows["ret"], strict=True) if n == 7]
    assert len(mine) == count
    assert sum("worker" in stack for stack in mine) >= 0.97 * count


def test_together_with_samples_and_without_stacks(tmp_path):
    command = [sys.executable, "-c", NESTED]
    both = wb.capture(
        {"cpu": {}, "syscalls": {"stacks": True}}, command=command, output=tmp_path / "a.wb"
    )
    plain = wb.capture("syscalls", command=command, output=tmp_path / "b.wb")
    assert "stack_id" not in plain["syscalls"].schema.names
    mine = (pl.col("ret") == 7) & (pl.col("name").cast(pl.String) == "write")
    assert [s["syscalls"].polars().filter(mine).height for s in (both, plain)] == [300, 300]


def test_counts_have_no_stacks(tmp_path):
    with pytest.raises(ParameterError, match="no stacks"):
        wb.capture(
            {"syscalls": {"stacks": True, "aggregate": True}}, command=["true"],
            output=tmp_path / "s.wb",
        )  # fmt: skip
