"""Chains of waiting threads equal those of other tools that look from outside."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pystacks_interpreters import Workload, compiled_stacks, interpreters, recorded

pytestmark = pytest.mark.kernel

COMMANDS = interpreters()
PLACES = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
PY_SPY = os.environ.get("WORKBENCH_TEST_PY_SPY") or shutil.which("py-spy", path=PLACES)
each_python = pytest.mark.parametrize("python", COMMANDS)


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    return compiled_stacks(tmp_path_factory.mktemp("oracles"))


@pytest.fixture
def waiting(program, python, tmp_path):
    """A workload whose threads wait, what the kernel saw of them, and its standard error."""
    with (tmp_path / "stderr").open("w") as errors:
        workload = Workload(COMMANDS[python], stderr=errors)
        try:
            with recorded(program, workload, "stop") as recorder:
                threads = [tid for tid, _ in workload.run("waiting")]
                time.sleep(0.1)
                last = {stack.tid: stack.frames for stack in recorder.drain()}
            assert len(threads) == 4
            yield workload, {tid: last[tid] for tid in threads}, tmp_path / "stderr"
        finally:
            workload.close()


def short(frames):
    """Functions without what they are defined in, as tools show them that use co_name."""
    return [(name.rpartition(".")[2], file, line) for name, file, line in frames]


def text_of_signal(pid: int, path: Path) -> str:
    os.kill(pid, signal.SIGUSR1)
    deadline = time.monotonic() + 5
    while (text := path.read_text()).count("hread 0x") < 4 or not text.endswith("\n"):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.1)
    return path.read_text()


@each_python
def test_faulthandler(waiting):
    workload, seen, errors = waiting
    text = text_of_signal(workload.pid, errors)
    parts = re.split(r"^(?:Current t|T)hread 0x.*$", text, flags=re.MULTILINE)[1:]
    told = [
        [(name.rpartition(".")[2], file, int(line)) for file, line, name in found]
        for part in parts
        if (found := re.findall(r'^  File "(.*)", line (\d+) in (.*)$', part, re.MULTILINE))
    ]
    assert sorted(told) == sorted(short(frames) for frames in seen.values())
    assert max(map(len, told)) > 20


@each_python
def test_py_spy(waiting, python):
    workload, seen, _ = waiting
    if not PY_SPY:
        pytest.skip("py-spy is not installed; WORKBENCH_TEST_PY_SPY may name it")
    command = [PY_SPY, "dump", "--json", "--full-filenames", "--pid", str(workload.pid)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if run.returncode:
        pytest.skip(f"py-spy cannot read {python}: {run.stderr.strip()[:200]}")
    told = {
        thread["os_thread_id"]: [(f["name"], f["filename"], f["line"]) for f in thread["frames"]]
        for thread in json.loads(run.stdout)
    }
    names = {tid: [(name.rpartition(".")[2], *rest) for name, *rest in told[tid]] for tid in told}
    assert names == {tid: short(frames) for tid, frames in seen.items()}
