"""Programs of Debian's BCC tools, unchanged, as cells: run on workloads with a known answer."""

from __future__ import annotations

import platform
import sys
import time
from pathlib import Path

import pytest
from bcc_tools import NEEDED, ROOT, SENTINEL, TOOLS, cell_of, module, sent
from compile_bpf import bpf_descriptors

from workbench.syscalls_table import number_of

pytestmark = NEEDED
CALLS, COUNT, SLEEPS = 321, 2000, 60


def python(text, *lines):
    return [sys.executable, "-c", "\n".join((text, *lines))]


CHILD = python("import os", f"for _ in range({CALLS}): os.getppid()")
GROUPS = python("import os", "for n in (0, 0, 1, 0): os.getpgid(n)")
HOSTS = python("import socket", "for _ in range(7): socket.getaddrinfo('127.0.0.1', 1)")
BURN = python("import time", "while time.process_time() < 1: pass")
DD = ["dd", "if=/dev/zero", "of=/dev/null", "bs=64", f"count={COUNT}", "status=none"]
FAILS = ["sh", "-c", "exit 3"]
SLEEP = python("import time", f"for _ in range({SLEEPS}): time.sleep(0.005)")
DOZES = python("import ctypes", "for us in (20000, 10, 30000): ctypes.CDLL(None).usleep(us)")
THREADS = python(
    "from threading import Thread",
    "for _ in range(5):",
    "    each = Thread(target=int)",
    "    each.start()",
    "    each.join()",
)


def argdist(cell):
    (name,) = cell.names
    frame = cell[name]
    counted = dict(zip(frame[frame.columns[0]], frame["value"], strict=True))
    assert counted == {0: 3, 1: 1}


def exitsnoop(cell):
    events = sent(cell)
    assert len(events) == 1
    assert events["exit_code"].to_list() == [3]
    assert events["pid"].to_list() == [cell.source.pid]


def funccount(cell):
    assert cell["counts"]["value"].to_list() == [CALLS]


def funclatency(cell):
    assert cell["dist"]["value"].sum() == CALLS


def funcinterval(cell):
    assert cell["dist"]["value"].sum() == CALLS - 1


def funcslower(cell):
    events = sent(cell).sort("start_ns")
    slow = [value[0] for value in events["args"] if value[0] != 10]  # a busy machine slows all
    assert slow == [20000, 30000]
    assert (events["duration_ns"] >= [int(value[0]) * 1000 for value in events["args"]]).all()
    assert {value >> 32 for value in events["tgid_pid"]} == {cell.source.pid}
    assert set(events["retval"]) == {0}


def gethostlatency(cell):
    events = sent(cell)
    assert events["host"].to_list() == ["127.0.0.1"] * 7


def profile(cell):
    frame = cell["counts"]
    assert set(frame["pid"]) == {cell.source.pid}
    assert frame["value"].sum() >= 20  # 99 a second of CPU time on a machine that may be busy


def runqlat(cell):
    # What follows pid 1 on a CPU is not seen to come off the queue: its switches run no programs.
    assert cell["dist"]["value"].sum() >= SLEEPS // 2


def runqslower(cell):
    events = sent(cell)
    assert set(events["pid"]) == {cell.source.pid}
    assert len(events) >= SLEEPS // 2


def stackcount(cell):
    assert cell["counts"]["value"].sum() == CALLS


def syscount(cell):
    data = dict(cell["data"].select("key", "value").iter_rows())
    assert data[number_of(platform.machine())["write"]] == COUNT
    assert all(isinstance(each, int) for each in data.values())


def threadsnoop(cell):
    events = sent(cell)
    assert events["pid"].to_list() == [cell.source.pid] * 5
    assert events["start"].n_unique() == 1  # Python's own function of a thread


def wakeuptime(cell):
    asleep = cell["counts"].filter(target=Path(sys.executable).name)
    assert SLEEPS // 2 * 5000 <= asleep["value"].sum() <= cell.seconds * 1e6


def trace(cell):
    events = sent(cell)
    assert len(events) == CALLS
    assert set(events["tgid"]) == {cell.source.pid}


RUNS = {
    "argdist": (["-p", SENTINEL, "-C", "p:c:getpgid(int pid):int:pid"], GROUPS, argdist),
    "exitsnoop": (["-p", SENTINEL], FAILS, exitsnoop),
    "funccount": (["-p", SENTINEL, "c:getppid"], CHILD, funccount),
    "funcinterval": (["-p", SENTINEL, "c:getppid"], CHILD, funcinterval),
    "funclatency": (["-p", SENTINEL, "c:getppid"], CHILD, funclatency),
    "funcslower": (["-p", SENTINEL, "-m", "15", "-a", "1", "c:usleep"], DOZES, funcslower),
    "gethostlatency": (["-p", SENTINEL], HOSTS, gethostlatency),
    "profile": (["-p", SENTINEL, "-F", "99"], BURN, profile),
    "runqlat": (["-p", SENTINEL], SLEEP, runqlat),
    "runqslower": (["-p", SENTINEL, "0"], SLEEP, runqslower),
    "stackcount": (["-p", SENTINEL, "c:getppid"], CHILD, stackcount),
    "syscount": (["-p", SENTINEL], DD, syscount),
    "threadsnoop": ([], THREADS, threadsnoop),
    "trace": (["-p", SENTINEL, "c:getppid"], CHILD, trace),
    "wakeuptime": (["-p", SENTINEL], SLEEP, wakeuptime),
}


@pytest.mark.parametrize("tool", RUNS)
def test_a_tools_program_gives_the_right_numbers(tool):
    words, command, check = RUNS[tool]
    before = time.monotonic()
    cell = cell_of(tool, *words, command=command)
    cell.seconds = time.monotonic() - before
    check(cell)
    assert bpf_descriptors() == []


def test_the_table_is_of_these_runs():
    page = (ROOT / "docs" / "bcc-tools.md").read_text()
    loaded = [line for line in page.splitlines() if line.startswith("|") and "| yes |" in line]
    assert len(loaded) >= 80
    for tool, text in TOOLS.RUN.items():
        assert f"| {tool} | yes |" in page
        assert f"| {text} |" in page
    files = [module(path) for path in Path(__file__).parent.glob("test_truth_bcc_tools*.py")]
    tests = {name.removeprefix("test_") for each in files for name in vars(each)}
    assert set(TOOLS.RUN) == set(RUNS) | tests & set(TOOLS.tools())
    assert len(TOOLS.RUN) >= 24
