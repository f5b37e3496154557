"""The interpreters of this machine that Python frames can be tested with, and the test recorder."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from compile_bpf import compile_bpf

from workbench.probe.objects import Object
from workbench.probe.perf_event import online_cpus, open_cpu_clock
from workbench.probe.ringbuf import RingBuffer, RingBuffers
from workbench.pystacks import CodeTable, PythonFrames, PythonProcesses, chain_statuses
from workbench.symbols.frame_table import Frame, FrameTable

ROOT = Path(__file__).parent.parent
HERE = ROOT / "tests" / "pystacks"
WORKLOAD = HERE / "workload.py"
VERSIONS = ("3.11", "3.12", "3.13", "3.14")
CONTAINER = ("unshare", "--mount", "--root")
"""Runs a command with a mount namespace and a root folder of its own."""
SCENARIOS = (
    *("plain", "lines", "recursion", "generator", "callbacks", "exceptions", "made_code"),
    *("class_body", "awaiting", "threads", "names", "jumps"),
)
"""Those of workload.py that tell a stack for each call of ``here``."""
TICK, CALL, STOP = 0, 1, 2
GETPGID = {"x86_64": 121, "aarch64": 155}[os.uname().machine]
"""include/uapi/asm-generic/unistd.h, arch/x86/entry/syscalls/syscall_64.tbl"""


@cache
def interpreters() -> dict[str, list[str]]:
    """Commands by version and folder: those in WORKBENCH_TEST_PYTHONS, ";" between, and others."""
    commands = [text.split() for text in os.environ.get("WORKBENCH_TEST_PYTHONS", "").split(";")]
    commands += fetched()
    home = Path.home()
    for folder in (".pyenv", ".local/share/uv"):
        paths = [*home.glob(f"{folder}/versions/*/bin/python3")]
        paths += home.glob(f"{folder}/python/*/bin/python3")
        commands += [[str(path)] for path in sorted(paths)]
    commands += [[f"/usr/{place}bin/python{v}"] for place in ("", "local/") for v in VERSIONS]
    found = {}
    for command in filter(None, commands):
        version = _version(command)
        if version.startswith(VERSIONS):
            found[f"{version}-{Path(command[-1]).parent.parent.name}"] = command
    return found


def fetched() -> list[list[str]]:
    """Commands of what tools/debian-python.sh has left: by its own loader, and as in a container.

    The first is a program called ld-linux-*.so.2, the second has files of another root folder.
    """
    commands = []
    for program in sorted((ROOT / "build").glob("python3.*/bin/python3.*")):
        commands.append([str(program)])
        if os.geteuid() == 0:
            root = program.parent.parent / "root"
            commands.append([*CONTAINER, str(root), f"/usr/bin/{program.name}"])
    return commands


def _version(command: list[str]) -> str:
    code = "import platform, sys; print(platform.python_version() + sys.abiflags)"
    try:
        run = subprocess.run(
            [*command, "-c", code], capture_output=True, text=True, timeout=20, check=False
        )
    except OSError:
        return ""
    return run.stdout.strip()


def compiled_stacks(folder: Path) -> Path:
    """Compile the test-only program that sends Python stacks."""
    arch = {"x86_64": "x86", "aarch64": "arm64"}[platform.machine()]
    head = f"#define __TARGET_ARCH_{arch}\n" + (HERE / "stacks.bpf.c").read_text()
    return compile_bpf(folder, "", head=head)


class Workload:
    """A process that runs the scenarios of workload.py."""

    def __init__(self, command: list[str], *options: str, stderr: Any = None) -> None:
        # Given as text: the interpreter may live in a root folder of its own.
        code = WORKLOAD.read_text()
        self.process = subprocess.Popen(
            [*command, *options, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            encoding="utf-8",
        )
        assert self._line() == "ready"

    @property
    def pid(self) -> int:
        return self.process.pid

    def run(self, scenario: str) -> list[tuple[int, list[tuple[str, str, int]]]]:
        """Run a scenario; return thread and frames of each stack that it tells."""
        assert self.process.stdin
        self.process.stdin.write(scenario + "\n")
        self.process.stdin.flush()
        return [(tid, [tuple(f) for f in frames]) for tid, frames in json.loads(self._line())]

    def _line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


class Stack:
    """One Python stack that the kernel sent."""

    def __init__(self, pid: int, tid: int, source: int, words: np.ndarray) -> None:
        self.pid, self.tid, self.source, self.words = pid, tid, source, words
        self.frames: list[tuple[str, str | None, int | None]] = []
        self.entries: list[bool] = []
        self.status = 0


def by_thread(stacks: Iterable[tuple[int, Any]]) -> dict[int, list[Any]]:
    """Frames of the stacks of each thread, in the order of the stacks."""
    found: dict[int, list[Any]] = {}
    for tid, frames in stacks:
        found.setdefault(tid, []).append(frames)
    return found


class Recorder:
    """Loads the test object, attaches what is asked for, decodes what comes."""

    def __init__(self, path: Path, pid: int, *sources: str, hz: int = 499) -> None:
        self.object = Object(path)
        self.object.set("wb_by_tree", 1)
        self.object.set("wanted_syscall", GETPGID)
        for name, program in self.object.programs.items():
            if name not in sources:
                program.leave_out()
        self.object.load()
        maps = self.object.maps
        self.select(pid)
        process = self.object.layout("wb_python_process").dtype
        self.processes = PythonProcesses([maps["wb_python"]], process)
        self.table = FrameTable()
        code = self.object.layout("wb_python_code").dtype
        self.codes = CodeTable(code, self.processes.of)
        self.decoder = PythonFrames(self.codes, self.table)
        self.rings = RingBuffers(maps["wb_rings"], 1, 1 << 24)
        self.code_ring = RingBuffer(maps["wb_python_codes"].fd, maps["wb_python_codes"].max_entries)
        self.announced = 0
        self._names: dict[int, Frame] = {}
        self.processes.watch(pid)
        self.processes.poll()
        for name in sources:
            program = self.object.programs[name]
            if program.section == "perf_event":
                for cpu in online_cpus():
                    self.object.attach_perf_event(program, open_cpu_clock(cpu, hz))
            else:
                self.object.attach(program)

    def select(self, pid: int) -> None:
        """Take stacks of this process."""
        targets, epoch = self.object.maps["wb_targets"], self.object.maps["wb_epoch"]
        targets.update(pid.to_bytes(4, "little"), (1).to_bytes(4, "little"))
        epoch.update(bytes(4), pid.to_bytes(4, "little"))  # any other number

    def drain(self) -> list[Stack]:
        """Return the stacks since the last call."""
        layout = self.object.layout("python_event").dtype
        stacks = []
        for content in _records(self.rings):
            head = np.frombuffer(content, layout, 1)[0]
            words = np.frombuffer(content, np.uint64, offset=layout.itemsize).reshape(-1, 2)
            assert len(words) == head["frames"]
            stacks.append(Stack(int(head["pid"]), int(head["tid"]), int(head["source"]), words))
        announced = list(_records(self.code_ring))
        self.announced += len(announced)
        self.codes.add(announced)
        for stack in stacks:
            self._decode(stack)
        return stacks

    def _decode(self, stack: Stack) -> None:
        ids, entries = self.decoder.decode(np.full(len(stack.words), stack.pid), stack.words)
        self._names.update(self.table._news)
        frames = [self._names[number] for number in ids.tolist() if number >= 0]
        assert all(frame.kind == "python" for frame in frames)
        stack.frames = [(frame.function, frame.file, frame.line) for frame in frames]
        stack.entries = entries.tolist()
        stack.status = max(chain_statuses(stack.words).tolist(), default=0)

    def close(self) -> None:
        self.rings.close()
        self.code_ring.close()
        self.object.close()


def _records(ring: Any) -> Iterator[bytes]:
    for span in ring.drain():
        for at, size in zip(span.offsets.tolist(), span.lengths.tolist(), strict=True):
            yield span.data[at : at + size].tobytes()


@contextmanager
def recorded(path: Path, workload: Workload, *sources: str, **options: Any) -> Iterator[Recorder]:
    """Record a workload until the end of the block."""
    recorder = Recorder(path, workload.pid, *sources, **options)
    try:
        yield recorder
    finally:
        recorder.close()
