"""Memory of programs that know to the byte what they allocate, free, map and touch."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from memory_captures import (
    ALLOCATIONS,
    BYTES,
    CHURN_BYTES,
    FREED,
    LEAKED,
    ROUNDS,
    by_function,
    capture,
    compiled_allocations,
    complete,
    counts,
    stack_of,
)
from programs import compiled

import workbench as wb
from workbench.client import RecorderDiedWarning
from workbench.errors import AttachError, ParameterError
from workbench.frames import heap
from workbench.probe import uprobe_multi
from workbench.symbols.allocators import allocator_in

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("nothing_left")]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return compiled_allocations(tmp_path_factory.mktemp("allocations"))


@pytest.mark.parametrize("preload", [True, False], ids=["preload", "probes"])
@pytest.mark.parametrize("transport", ["ring", "perf"])
def test_every_allocation_and_the_leak(tmp_path, program, transport, preload):
    kinds = {"memory": {"sample_bytes": 0, "preload": preload}}
    session = wb.capture(kinds, command=[program], output=tmp_path / "s.wb", transport=transport)
    complete(session)
    assert session.manifest.kinds["memory"]["preload"] is preload
    assert counts(session) == {"alloc": ALLOCATIONS, "free": FREED}
    (process,) = heap.by_process(session).iter_rows(named=True)
    assert (process["allocations"], process["bytes"]) == (ALLOCATIONS, BYTES)
    assert (process["live"], process["live_bytes"]) == (ROUNDS, LEAKED)
    (leak,) = heap.leaks(session).iter_rows(named=True)
    assert (leak["live"], leak["live_bytes"], leak["seen"], leak["freed"]) == (300, LEAKED, 300, 0)
    names = stack_of(session, leak["stack_id"])
    assert names[:3] == ["leak", "work", "main"]
    assert names[-1] == "_start"
    stacks = by_function(session)
    assert stacks.keys() == {"leak", "churn", "aligned", "large"}
    assert stacks["churn"]["bytes"] == CHURN_BYTES


@pytest.mark.parametrize("preload", [True, False], ids=["preload", "probes"])
def test_threads_allocate_at_once(tmp_path, program, preload):
    session = complete(capture(tmp_path, [program, "4"], preload=preload))
    allocated = session["memory"].polars().filter(pl.col("op").cast(pl.String) == "alloc")
    by_thread = allocated.group_by("tid").len().sort("len")
    workers = by_thread.filter(pl.col("len") >= ALLOCATIONS)
    assert workers.height == 4
    (leak,) = heap.leaks(session, at_least=10).iter_rows(named=True)
    assert leak["live_bytes"] == 4 * LEAKED


@pytest.mark.parametrize("preload", [True, False], ids=["preload", "probes"])
def test_children_are_probed_as_well(tmp_path, program, preload):
    """With probes when the recorder has heard of them, with the library from the beginning."""
    words = [program, "0", "1", "0" if preload else "3"]
    session = complete(capture(tmp_path, words, preload=preload))
    (child,) = heap.by_process(session).filter(allocations=ALLOCATIONS).iter_rows(named=True)
    assert child["live_bytes"] == LEAKED
    forked = session["processes"].polars().filter(pl.col("event").cast(pl.String) == "fork")
    assert child["pid"] in forked["pid"]


@pytest.mark.parametrize("preload", [True, False], ids=["preload", "probes"])
@pytest.mark.parametrize("sample_bytes", [2000, 20_000])
def test_estimates_from_samples_are_right_on_average(tmp_path, program, sample_bytes, preload):
    """Poisson: the relative error of n sampled bytes is about sqrt(sample_bytes / n)."""
    session = complete(capture(tmp_path, [program], sample_bytes, preload=preload))
    assert session["memory"].num_rows < 0.6 * (ALLOCATIONS + FREED)
    stacks = by_function(session)
    spread = (sample_bytes / CHURN_BYTES) ** 0.5
    assert stacks["churn"]["bytes"] == pytest.approx(CHURN_BYTES, rel=6 * spread)
    assert stacks["churn"]["live"] == 0
    assert stacks["large"]["bytes"] == 8_000_000  # too large to be missed
    spread = (sample_bytes / LEAKED) ** 0.5
    if "leak" in stacks:
        assert stacks["leak"]["live"] == stacks["leak"]["allocations"]
        assert stacks["leak"]["live_bytes"] == pytest.approx(LEAKED, rel=6 * spread)


def test_the_leak_of_a_running_process(tmp_path, program):
    code = "import time, ctypes\nlibc = ctypes.CDLL(None)\nlibc.malloc.restype = ctypes.c_void_p\n"
    code += "input()\nfor _ in range(50): libc.malloc(123456)\nprint('made', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as child:  # fmt: skip
        kinds = {"memory": {"sample_bytes": 0}}
        with wb.capture(kinds, pid=child.pid, output=tmp_path / "s.wb"):
            child.stdin.write("\n")
            child.stdin.flush()
            child.stdout.readline()
        child.communicate("\n")
    session = wb.open(tmp_path / "s.wb")
    mine = heap.live(session).filter(size=123456)
    assert mine.height == 50
    assert set(mine["pid"]) == {child.pid}
    found = heap.leaks(session, at_least=50).row(0, named=True)
    assert found["live_bytes"] == 50 * 123456
    assert "<module>" in stack_of(session, found["stack_id"])  # the line of Python that did it


def breakpoints(pid):
    """How many of the places of the C library's allocator are not as in its file."""
    content = Path(f"/proc/{pid}/maps").read_text().splitlines()
    (line,) = [each for each in content if "libc.so" in each and " r-xp " in each]
    span, _, start, _, _, path = line.split()
    first = int(span.partition("-")[0], 16) - int(start, 16)
    found = allocator_in(path)
    changed = 0
    with Path(f"/proc/{pid}/mem").open("rb") as memory, Path(path).open("rb") as file:
        for offset in {*found.allocate, *found.release}:
            memory.seek(first + offset)
            file.seek(offset)
            changed += memory.read(4) != file.read(4)
    return changed, len({*found.allocate, *found.release})


def test_a_killed_recorder_leaves_no_breakpoint(tmp_path):
    with subprocess.Popen(["sleep", "60"]) as target, subprocess.Popen(["sleep", "60"]) as other:
        try:
            kinds = {"memory": {"parts": ("heap",)}}
            capture = wb.capture(
                kinds, pid=target.pid, wait=False, output=tmp_path / "s.wb"
            ).start()
            changed, places = breakpoints(target.pid)
            assert changed == places >= 5  # malloc, calloc, realloc, memalign, free at least
            assert breakpoints(other.pid) == (0, places)
            if uprobe_multi.available_for_one_process():
                # A perf event for each place takes 0.1 s to go, and the recorder waits for it.
                descriptors = Path(f"/proc/{capture.recorder_pid}/fd").iterdir()
                assert not [each for each in descriptors if "perf_event" in str(each.readlink())]
            os.kill(capture.recorder_pid, signal.SIGKILL)
            with pytest.warns(RecorderDiedWarning, match="signal 9"):
                capture.stop()
            deadline = time.monotonic() + 30
            while breakpoints(target.pid) != (0, places):
                assert time.monotonic() < deadline
                time.sleep(0.02)
            assert target.poll() is None
        finally:
            target.kill()
            other.kill()


def test_mappings_and_page_faults(tmp_path, program):
    session = complete(capture(tmp_path, [program], parts=("mappings", "faults")))
    assert counts(session).keys() == {"map", "unmap", "fault"}
    rows = {
        stack_of(session, row["stack_id"])[-5]: row
        for row in heap.growth(session).iter_rows(named=True)
        if "touch" in stack_of(session, row["stack_id"])
    }
    names = [stack_of(session, n) for n in heap.growth(session)["stack_id"]]
    touched = heap.growth(session).filter(
        pl.Series([stack[0] == "touch" or "touch" in stack for stack in names])
    )
    assert rows
    assert touched["mapped"].sum() == 1 << 20
    assert touched["unmapped"].sum() == 1 << 20
    # One for each page, and where the stack itself or the code was not there yet.
    assert 256 <= touched["faults"].sum() <= 256 + 8


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_mappings_are_those_of_strace(tmp_path, program):
    told = tmp_path / "told"
    subprocess.run(
        ["strace", "-f", "-c", "-e", "trace=mmap,munmap,brk", "-o", told, program], check=True
    )
    strace = {
        line.split()[-1]: int(line.split()[3])
        for line in told.read_text().splitlines()
        if line.split()[-1:] and line.split()[-1] in ("mmap", "munmap")
    }
    session = complete(capture(tmp_path, [program], parts=("mappings",)))
    maps = session["memory"].polars().with_columns(pl.col("op").cast(pl.String))
    assert maps.filter(op="unmap").height == strace["munmap"]
    # brk() upwards is a mapping, too; as a question it is none.
    grown = maps.filter(op="map").height - strace["mmap"]
    assert 0 <= grown <= 3


def test_a_program_that_is_its_own_allocator(tmp_path):
    """Static: its functions are found in its own symbol table."""
    code = """
    #include <stdlib.h>
    int main(void) { for (int i = 0; i < 40; i++) { void *volatile p = malloc(1000); p = p; } }
    """
    made = compiled(tmp_path, "own", code, "gcc", "-O0", "-static", "-fno-builtin")
    session = complete(capture(tmp_path, [str(made)]))
    assert session.manifest.kinds["memory"]["preload"] is False
    assert heap.live(session).filter(size=1000).height == 40


def test_what_is_no_allocator(tmp_path, program):
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    with pytest.raises(AttachError, match="no allocator"):
        capture(tmp_path, [program], allocators=(str(script),))
    with pytest.raises(ParameterError, match="stack"):
        capture(tmp_path, [program], parts=("stack",))
    with pytest.raises(ParameterError, match="none"):
        capture(tmp_path, [program], parts=())
    assert not (tmp_path / "s.wb").exists()
