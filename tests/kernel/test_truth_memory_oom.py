"""Processes that the kernel ends for want of memory, as their cgroup counts them."""

import os
import sys
import time
from pathlib import Path

import polars as pl
import pytest

import workbench as wb

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("nothing_left")]

LIMIT = 48 << 20
HOG = "kept = []\nwhile True: kept.append(bytearray(1 << 20))"


def mounted(kind, option):
    """Directories where a cgroup hierarchy with an option or a file is mounted."""
    lines = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    return [Path(words[1]) for words in lines if words[2] == kind and option(words)]


class Group:
    """A cgroup whose memory is limited; version 2, or 1 where that has the controller."""

    def __init__(self, name):
        new = mounted("cgroup2", lambda words: "memory" in Path(words[1], "cgroup.controllers")
                      .read_text().split())  # fmt: skip
        old = mounted("cgroup", lambda words: "memory" in words[3].split(","))
        if not new and not old:
            pytest.skip("no cgroup hierarchy with the memory controller is mounted")
        root = (new or old)[0]
        self.path = root / name
        try:
            if new:
                (root / "cgroup.subtree_control").write_text("+memory")
            self.path.mkdir()
        except OSError as error:
            pytest.skip(f"no cgroup can be made here: {error}")
        limits = {"memory.max": LIMIT, "memory.swap.max": 0} if new else {
            "memory.limit_in_bytes": LIMIT, "memory.memsw.limit_in_bytes": LIMIT,
        }  # fmt: skip
        for file, value in limits.items():
            if (self.path / file).exists():  # the second ones only where swap is counted
                (self.path / file).write_text(str(value))
        self.counts = self.path / ("memory.events" if new else "memory.oom_control")

    def kills(self):
        """Processes that were ended, by the kernel's own count."""
        counts = dict(line.split() for line in self.counts.read_text().splitlines())
        return int(counts["oom_kill"])

    def remove(self):
        """Remove it; the kernel may still be busy with the last process."""
        until = time.monotonic() + 20
        while self.path.exists():
            try:
                self.path.rmdir()
            except OSError:
                assert time.monotonic() < until
                time.sleep(0.05)


@pytest.fixture
def group():
    made = Group(f"workbench-test-{os.getpid()}")
    yield made
    made.remove()


def oom_rows(session):
    rows = session["memory"].polars().with_columns(pl.col("op").cast(pl.String))
    losses = session.losses.filter(kind="memory")
    assert losses["dropped"].sum() == 0
    assert losses["produced"].sum() == rows.height
    return rows.filter(op="oom")


def test_the_process_that_is_ended(tmp_path, group):
    """Twice in a row, below a shell that lives on; each ends by SIGKILL, which the shell sees."""
    hog = f'sh -c "echo \\$\\$ > {group.path}/cgroup.procs; exec {sys.executable} hog.py"'
    (tmp_path / "hog.py").write_text(HOG)
    script = f"cd {tmp_path}; {hog}; echo $?; {hog}; echo $?"
    told = tmp_path / "told"
    command = ["sh", "-c", f"({script}) > {told}"]
    session = wb.capture({"memory": {"parts": ("oom",)}}, command=command, output=tmp_path / "s.wb")
    assert told.read_text().split() == ["137", "137"]  # 128 + SIGKILL
    assert group.kills() == 2
    rows = oom_rows(session)
    assert rows.height == 2
    ends = session["processes"].polars().filter(pl.col("event").cast(pl.String) == "exit")
    killed = ends.filter(pl.col("exit_code") == 9)
    assert sorted(rows["pid"]) == sorted(killed["pid"])
    names = session.sql("select comm from memory where op = 'oom'")["comm"]
    assert all(name.startswith("python") for name in names)
    assert rows["tid"].to_list() == rows["pid"].to_list()


def test_others_that_are_ended_are_not_told(tmp_path, group):
    """A process of nobody's target is ended while one of ours runs."""
    (tmp_path / "hog.py").write_text(HOG)
    words = f"echo $$ > {group.path}/cgroup.procs; exec {sys.executable} {tmp_path}/hog.py"
    with wb.capture(
        {"memory": {"parts": ("oom",)}}, pid=os.getpid(), follow=False, output=tmp_path / "s.wb"
    ) as session:
        pid = os.posix_spawn("/bin/sh", ["sh", "-c", words], os.environ)
        _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == -9
    assert group.kills() == 1
    session = wb.open(tmp_path / "s.wb")
    assert oom_rows(session).is_empty()
