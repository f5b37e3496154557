"""Programs of Debian's BCC tools, unchanged, as cells: run on workloads with a known answer."""

from __future__ import annotations

import importlib.util
import platform
import shutil
import sys
from pathlib import Path

import polars as pl
import pytest
from compile_bpf import bpf_descriptors

import workbench as wb
from workbench.syscalls_table import number_of

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.kernel,
    pytest.mark.usefixtures("nothing_left"),
    pytest.mark.skipif(
        shutil.which("opensnoop-bpfcc") is None, reason="bpfcc-tools is not installed"
    ),
]
SENTINEL = "4194303"  # a pid that no process has here; the cell's is put in its place
CALLS, COUNT = 321, 2000
CHILD = [sys.executable, "-c", f"import os\nfor _ in range({CALLS}): os.getppid()"]
GROUPS = [sys.executable, "-c", "import os\nfor n in (0, 0, 1, 0): os.getpgid(n)"]
HOSTS = [
    sys.executable,
    "-c",
    "import socket\nfor _ in range(7): socket.getaddrinfo('127.0.0.1', 1)",
]
BURN = [sys.executable, "-c", "import time\nwhile time.process_time() < 1: pass"]
DD = ["dd", "if=/dev/zero", "of=/dev/null", "bs=64", f"count={COUNT}", "status=none"]
FAILS = ["sh", "-c", "exit 3"]


def script():
    spec = importlib.util.spec_from_file_location("bcc_tools", ROOT / "tools" / "bcc_tools.py")
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


TOOLS = script()


def only_buffer(cell):
    (name,) = cell.losses["buffer"]
    (row,) = cell.losses.rows(named=True)
    assert row["produced"] == row["delivered"]
    return cell[name]


def argdist(cell):
    (name,) = cell.names
    frame = cell[name]
    counted = dict(zip(frame[frame.columns[0]], frame["value"], strict=True))
    assert counted == {0: 3, 1: 1}


def exitsnoop(cell):
    events = only_buffer(cell)
    assert len(events) == 1
    assert events["exit_code"].to_list() == [3]
    assert events["pid"].to_list() == [cell.source.pid]


def funccount(cell):
    assert cell["counts"]["value"].to_list() == [CALLS]


def funclatency(cell):
    assert cell["dist"]["value"].sum() == CALLS


def gethostlatency(cell):
    events = only_buffer(cell)
    assert events["host"].to_list() == ["127.0.0.1"] * 7


def profile(cell):
    frame = cell["counts"]
    assert set(frame["pid"]) == {cell.source.pid}
    assert frame["value"].sum() >= 20  # 99 a second of CPU time on a machine that may be busy


def stackcount(cell):
    assert cell["counts"]["value"].sum() == CALLS


def syscount(cell):
    data = dict(cell["data"].select("key", "value").iter_rows())
    assert data[number_of(platform.machine())["write"]] == COUNT
    assert all(isinstance(each, int) for each in data.values())


def trace(cell):
    events = only_buffer(cell)
    assert len(events) == CALLS
    assert events.select(pl.col("tgid").unique()).to_series().to_list() == [cell.source.pid]


RUNS = {
    "argdist": (["-p", SENTINEL, "-C", "p:c:getpgid(int pid):int:pid"], GROUPS, argdist),
    "exitsnoop": (["-p", SENTINEL], FAILS, exitsnoop),
    "funccount": (["-p", SENTINEL, "c:getppid"], CHILD, funccount),
    "funclatency": (["-p", SENTINEL, "c:getppid"], CHILD, funclatency),
    "gethostlatency": (["-p", SENTINEL], HOSTS, gethostlatency),
    "profile": (["-p", SENTINEL, "-F", "99"], BURN, profile),
    "stackcount": (["-p", SENTINEL, "c:getppid"], CHILD, stackcount),
    "syscount": (["-p", SENTINEL], DD, syscount),
    "trace": (["-p", SENTINEL, "c:getppid"], CHILD, trace),
}


@pytest.mark.parametrize("tool", RUNS)
def test_a_tools_program_gives_the_right_numbers(tool):
    words, command, check = RUNS[tool]
    (program,) = TOOLS.examine(tool, *words)
    text = program["text"].replace(SENTINEL, "WB_PID")
    cell = wb.bpf(text, attach=program["attach"], cflags=program["cflags"], command=command)
    check(cell)
    assert bpf_descriptors() == []


def test_the_table_is_of_these_runs():
    assert set(TOOLS.RUN) == set(RUNS)
    page = (ROOT / "docs" / "bcc-tools.md").read_text()
    for tool, text in TOOLS.RUN.items():
        assert f"| {tool} | yes |" in page
        assert f"| {text} |" in page
    loaded = [line for line in page.splitlines() if line.startswith("|") and "| yes |" in line]
    assert len(loaded) >= 80
