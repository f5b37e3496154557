"""One program at many functions of the C library of a process: ``HOW PID OBJECT``.

Each says how long its steps take, in seconds. Attached are uprobes, for that process alone.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benches import bcc_tree
from benches.consumers import fail, say
from workbench.cells.bcc_engine import BccEngine
from workbench.cells.engine import Source
from workbench.errors import WorkbenchError
from workbench.probe import attach
from workbench.probe.bcc import headers
from workbench.probe.bcc.attach import resolved
from workbench.probe.objects import Object

CLONE_NEWNS = 0x20000  # include/uapi/linux/sched.h
SOURCE = Path(__file__).parent.parent / "bpf" / "table.bcc.c"
TEXT = (
    "accept bind bsearch calloc close connect dup dup2 execve fclose fopen fork fread free "
    "fseek fstat ftell fwrite getegid getenv geteuid getgid getpid getppid getuid gmtime kill "
    "listen localtime lseek malloc open pipe poll printf qsort read realloc recv recvfrom "
    "select send sendto setenv socket stat system waitpid write writev "
)
FUNCTIONS = tuple(TEXT.split())


class Steps:
    """Seconds between words."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = self._start = time.perf_counter()

    def done(self, step: str) -> None:
        """A step ends."""
        now = time.perf_counter()
        self.seconds[step] = now - self._last
        self._last = now

    def say(self) -> None:
        """Say them, and the total."""
        say(self.seconds | {"total": self._last - self._start})


def compiled_before(pid: int, path: str) -> None:
    """The workbench with a program that was compiled before, as its kinds and probes are."""
    places = [resolved("c", name, pid) for name in FUNCTIONS]
    steps = Steps()
    with Object(path) as made:
        made.load()
        steps.done("load")
        for file, offset in places:
            made.hold(attach.uprobe(made.programs["hit"], file.decode(), offset, pid=pid))
        steps.done("attach")
        made.detach()
        steps.done("detach")
    steps.say()


def cell(pid: int, _: str) -> None:
    """The workbench with a cell in BCC's C."""
    headers.find()
    source = Source(SOURCE.read_text(), {"hit": [f"uprobe:c:{f}" for f in FUNCTIONS]}, pid)
    steps = Steps()
    engine = BccEngine(source)
    steps.done("load")
    engine.attach()
    steps.done("attach")
    engine.detach()
    steps.done("detach")
    engine.close()
    steps.say()


def own_tracefs() -> None:
    """Mount tracefs for this process alone: BCC cannot detach a uprobe where there is none."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS):
        fail(f"no mount namespace: {os.strerror(ctypes.get_errno())}")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    if Path("/sys/kernel/tracing/events").is_dir():  # others may take it away: not here
        return
    subprocess.run(["mount", "-t", "tracefs", "none", "/sys/kernel/tracing"], check=True)


def bcc(pid: int, _: str) -> None:
    """BCC."""
    own_tracefs()
    found = headers.find()
    flags = found.prepare(SOURCE.read_text())
    os.environ["BCC_KERNEL_SOURCE"] = str(found.path)
    with tempfile.TemporaryDirectory(prefix="workbench-bench-") as directory:
        try:
            module: Any = bcc_tree.load(Path(directory))
        except ImportError as error:
            fail(str(error))
        steps = Steps()
        program = module.BPF(text=SOURCE.read_text(), cflags=["-Wno-everything", *flags])
        program.load_func("hit", module.BPF.KPROBE)
        steps.done("load")
    for name in FUNCTIONS:
        program.attach_uprobe(name="c", sym=name, fn_name="hit", pid=pid)
    steps.done("attach")
    for name in FUNCTIONS:
        program.detach_uprobe(name="c", sym=name, pid=pid)
    steps.done("detach")
    program.cleanup()
    steps.say()


def bpftrace(pid: int, _: str) -> None:
    """The whole run of a bpftrace that ends when it has attached."""
    if not shutil.which("bpftrace"):
        fail("bpftrace is not installed")
    file = resolved("c", "malloc", pid)[0].decode()
    probes = ",".join(f"uprobe:{file}:{name}" for name in FUNCTIONS)
    program = f"BEGIN {{ exit(); }} {probes} {{ @calls = count(); }}"
    steps = Steps()
    subprocess.run(["bpftrace", "-q", "-p", str(pid), "-e", program], check=True,
                   capture_output=True)  # fmt: skip
    steps.done("all")
    steps.say()


if __name__ == "__main__":
    try:
        how = {each.__name__: each for each in (compiled_before, cell, bcc, bpftrace)}
        how[sys.argv[1]](int(sys.argv[2]), sys.argv[3])
    except (WorkbenchError, OSError, subprocess.CalledProcessError) as error:
        fail(str(error))
