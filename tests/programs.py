"""Programs that tests compile, run and look into."""

from __future__ import annotations

import lzma
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def compiled(directory: Path, name: str, source: str, *command: str) -> Path:
    """Compile C text with a command such as ``gcc -O1``; skip where there is no compiler."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    path = directory / name
    text = directory / f"{name}.c"
    text.write_text(source)
    subprocess.run([command[0], "-o", path, text, *command[1:]], check=True)
    return path


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process so far, to 10 ms (proc_pid_stat(5): utime and stime)."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def let_run(pid: int, seconds: float) -> None:
    """Wait until a process has used so much more CPU time, which a busy machine makes long."""
    enough, deadline = cpu_seconds(pid) + seconds, time.monotonic() + 120
    while cpu_seconds(pid) < enough:
        assert time.monotonic() < deadline, f"{pid} does not get the CPU"
        time.sleep(0.02)


def lines_of(*command: object) -> list[str]:
    """Return the output lines of a command."""
    done = subprocess.run([*map(str, command)], check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


def with_mini_debuginfo(program: Path, stripped: Path, functions: list[str]) -> Path:
    """Strip a program of all but ``.gnu_debugdata`` with some of its functions.

    As the GDB manual says it, "MiniDebugInfo".
    """
    mini = stripped.with_suffix(".mini")
    keep = stripped.with_suffix(".keep")
    keep.write_text("\n".join(functions))
    subprocess.run(["objcopy", "--only-keep-debug", program, mini], check=True)
    subprocess.run(["objcopy", "-S", f"--keep-symbols={keep}", mini, mini], check=True)
    Path(f"{mini}.xz").write_bytes(lzma.compress(mini.read_bytes()))
    subprocess.run(["strip", "-o", stripped, program], check=True)
    section = f".gnu_debugdata={mini}.xz"
    subprocess.run(["objcopy", "--add-section", section, stripped], check=True)
    return stripped


class Running(subprocess.Popen[str]):
    """A program that prints lines ``NAME ADDRESS``, and then ``ready``.

    Attributes
    ----------
    addresses : dict of str to int
        What it printed so far.
    """

    addresses: dict[str, int]

    def wait_ready(self) -> None:
        """Read its output up to the next line "ready"."""
        if not hasattr(self, "addresses"):
            self.addresses = {}
        assert self.stdout is not None
        for line in self.stdout:
            name, _, address = line.strip().partition(" ")
            if name == "ready":
                return
            if address.startswith("0x"):
                self.addresses[name] = int(address, 16)
        raise AssertionError("the program ended before it was ready")

    def go_on(self) -> None:
        """Send it a line and wait until it is ready again."""
        assert self.stdin is not None
        self.stdin.write("\n")
        self.stdin.flush()
        self.wait_ready()

    def rest(self) -> None:
        """Wait until it waits for the next line: what it does after "ready" is over."""
        deadline = time.monotonic() + 60
        # "number arguments ..." of the system call that it is in: read(0, ...) on x86-64, arm64.
        while Path(f"/proc/{self.pid}/syscall").read_text().split()[:2] not in (
            ["0", "0x0"],
            ["63", "0x0"],
        ):
            assert time.monotonic() < deadline
            time.sleep(0.01)


@contextmanager
def running(*command: object, cwd: Path | None = None) -> Iterator[Running]:
    """Run a program until the end of the block, which begins when it says "ready"."""
    process = Running(
        [*map(str, command)], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True, cwd=cwd
    )
    try:
        process.wait_ready()
        yield process
    finally:
        process.kill()
        process.communicate()
