"""Shared set-up of the tests."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from workbench.probe import support

# Import mode is importlib: helpers beside the tests (synthetic.py, ...) are found through this.
sys.path.insert(0, str(Path(__file__).parent))

# How long an example takes is a property of the machine and of what else it does.
settings.register_profile(
    "any_machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any_machine")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip kernel tests where eBPF is not permitted, or fail them where it has to be."""
    if item.get_closest_marker("kernel") is None:
        return
    missing = [c.name for c in _checks() if c.required and not c.ok]
    if not missing:
        return
    reason = f"no capture can run here: {', '.join(missing)} (see `workbench doctor`)"
    if os.environ.get("WORKBENCH_REQUIRE_KERNEL") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


# What these find does not depend on time, so that they may run beside others.
BESIDE = {
    *("cells", "cli", "demo", "probe", "probing", "pystacks", "recorder", "symbols", "unwind"),
}
COUNTED = re.compile(r"bcc_tools|cells|dns|exec|filters|http|magics|memory|probe|signals|sockets")
"""Truth tests, by their names, that compare numbers of events, whenever they happen."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what tools/tests.sh runs one after the other."""
    here = Path(__file__).parent
    for item in items:
        beside = item.path.relative_to(here).parts[0] in BESIDE or COUNTED.search(item.path.stem)
        captures = item.get_closest_marker("kernel") is not None and not beside
        if captures or item.get_closest_marker("browser") is not None:
            item.add_marker("alone")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder where the recorder is a fake one, with a temporary directory of its own."""
    from fake_recorder import python_of

    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setattr(sys, "executable", python_of(tmp_path))
    monkeypatch.setenv("FAKE_RECORDER_LOG", str(tmp_path / "spec.json"))
    return tmp_path


@cache
def _checks() -> list[support.Check]:
    return support.checks()


def loaded() -> dict[str, set[int]]:
    """Ids of all BPF programs, maps and links of this machine, as bpftool lists them."""
    return {what: {entry["id"] for entry in _bpftool(what)} for what in ("prog", "map", "link")}


def _bpftool(what: str) -> list[dict[str, Any]]:
    for _ in range(20):
        done = subprocess.run(["bpftool", "-j", what, "list"], check=False, capture_output=True)
        if not done.returncode:
            return json.loads(done.stdout or b"[]") or []
        time.sleep(0.1)  # it fails where one of them goes while it lists them
    raise AssertionError(f"bpftool {what} list: {done.stdout!r} {done.stderr!r}")


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """Fail if programs, maps, links or recorders are left behind by a test."""
    before = loaded()
    yield
    deadline = time.monotonic() + 5.0
    while True:
        left = {what: sorted(ids - before[what]) for what, ids in loaded().items()}
        if any(left.values()):
            left = _without_others(left)
        recorders = _recorders()
        if (not any(left.values()) and not recorders) or time.monotonic() > deadline:
            break
        time.sleep(0.05)  # the kernel frees programs after an RCU grace period
    assert not any(left.values()), f"left behind: {left}"
    assert not recorders, f"recorders left behind: {recorders}"


# Programs that a shell starts in the background ignore SIGINT, and so do all that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
RUN = f"WORKBENCH_TEST_RUN={os.getpid()}"
os.environ.update([RUN.split("=")])


def _without_others(left: dict[str, list[int]]) -> dict[str, list[int]]:
    """Leave out what processes of other test runs hold on this machine, as fdinfo tells."""
    held = {what: set[int]() for what in left}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            marks = (process / "environ").read_bytes().split(b"\0")
            if process.name == str(os.getpid()) or RUN.encode() in marks:
                continue
            text = "".join(file.read_text() for file in (process / "fdinfo").iterdir())
        except OSError:  # it has ended
            continue
        for what, ids in held.items():
            ids |= {int(number) for number in re.findall(rf"\b{what}_id:\t(\d+)", text)}
    if held["prog"] or held["link"]:
        left = left | {"map": []}  # maps within maps are held by no descriptor
    return {what: [n for n in ids if n not in held[what]] for what, ids in left.items()}


def _recorders() -> list[int]:
    """Recorder processes of this test run: they inherit its mark."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            marks = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"workbench.recorder" in words and RUN.encode() in marks:
            found.append(int(entry.name))
    return found


# They run in a guest (tests/vm), where this says so.
collect_ignore = [] if os.environ.get("WORKBENCH_VM_GUEST") else ["vm/guest"]
