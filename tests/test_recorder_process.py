"""Recorders that are started ahead of their capture."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import workbench as wb
from workbench import recorder_process as module

ONE_CAPTURE = """
import os, sys, time, workbench as wb
from workbench import recorder_process
wb.prepare()
ahead = recorder_process._spare._waiting.process.pid
with wb.capture("syscalls", pid=os.getpid(), output=sys.argv[1] + "/s.wb") as session:
    folder = f"/proc/{ahead}/fd"
    loaded = any("bpf" in os.readlink(f"{folder}/{number}") for number in os.listdir(folder))
    os.getppid()
print(loaded, session["syscalls"].num_rows > 0)
print(recorder_process._spare._waiting.process.pid != ahead)
"""


@pytest.fixture(autouse=True)
def none_kept():
    yield
    wb.prepare(False)


def running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def waits_for(pid, gone=True):
    deadline = time.monotonic() + 30
    while running(pid) == gone:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_it_is_taken_once_and_only_if_one_was_wanted(place):
    assert wb.prepare()
    first = module._spare._waiting
    assert wb.prepare()
    assert module._spare._waiting is first
    assert module.recorder() is first
    other = module.recorder()
    assert other is not first
    module.prepare_next()
    assert module._spare._waiting not in (None, first, other)
    wb.prepare(False)
    module.prepare_next()
    assert module._spare._waiting is None
    for each in (first, other):
        each.close()
        assert each.process.returncode is not None


@pytest.mark.parametrize("change", ["environment", "directory", "death"])
def test_one_that_does_not_fit_is_not_used(place, monkeypatch, change):
    wb.prepare()
    first = module._spare._waiting
    if change == "environment":
        monkeypatch.setenv("XDG_CACHE_HOME", str(place))
    elif change == "directory":
        monkeypatch.chdir(place)
    else:
        first.process.kill()
        first.process.wait()
    taken = module.recorder()
    assert taken is not first
    assert first.process.returncode is not None  # ended, and reaped
    taken.close()


def test_a_removed_directory_is_no_reason_to_fail(place, monkeypatch):
    folder = place / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    assert module._place()[0] == ""


def test_a_forked_child_leaves_its_parents_alone(place):
    wb.prepare()
    first = module._spare._waiting
    child = os.fork()
    if not child:
        taken = module._spare.take()
        os._exit(0 if taken is None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert module.recorder() is first
    first.close()


def test_it_ends_with_its_client(tmp_path):
    code = "import workbench as wb, time; wb.prepare(); from workbench import recorder_process as r"
    code += "; print(r._spare._waiting.process.pid, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as one:
        pid = int(one.stdout.readline())
        assert running(pid)
        one.kill()
    waits_for(pid)


def test_nobody_asks_it_for_a_capture():
    made = module.launch("--ahead")
    made.process.stdin.close()
    assert made.process.wait(60) == 0
    assert made.process.stdout.read() == b""
    made.errors.seek(0)
    assert made.errors.read() == b""
    made.errors.close()
    made.process.stdout.close()


@pytest.mark.kernel
@pytest.mark.usefixtures("nothing_left")
def test_a_capture_takes_it_and_prepares_the_next(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", ONE_CAPTURE, str(tmp_path)],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert done.stdout.split() == ["True", "True", "True"]


@pytest.mark.parametrize(
    ("capabilities", "may"),
    [
        ("000001ffffffffff", True),
        (f"{1 << 21:016x}", True),
        (f"{1 << 38 | 1 << 39:016x}", True),
        (f"{1 << 39:016x}", False),
        ("0000000000000000", False),
    ],
)
def test_who_may_capture(tmp_path, capabilities, may):
    (tmp_path / "status").write_text(f"Name:\tx\nCapEff:\t{capabilities}\n")
    assert module.may_capture(str(tmp_path / "status")) is may


def test_a_status_that_cannot_be_read(tmp_path):
    assert not module.may_capture(str(tmp_path / "none"))


def caught(pid):
    """Signals that a process has handlers for, as a mask."""
    return int(re.search(r"SigCgt:\t(\w+)", Path(f"/proc/{pid}/status").read_text())[1], 16)


def test_a_crash_in_native_code_leaves_its_python_stacks():
    crashing = module.launch()
    pid, deadline = crashing.process.pid, time.monotonic() + 30
    while not caught(pid) >> signal.SIGHUP - 1 & 1:  # one that main() takes
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(pid, signal.SIGSEGV)
    assert crashing.process.wait(30) == -signal.SIGSEGV
    crashing.errors.seek(0)
    said = crashing.errors.read().decode()
    crashing.close()
    assert "Segmentation fault" in said
    assert re.search(r"__main__.py\", line \d+ in main", said)
