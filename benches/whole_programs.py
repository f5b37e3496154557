"""Programs whose stacks are to reach the root, one per language and compiler that is here."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benches.harness import ROOT, BenchError

SOURCES = ROOT / "benches" / "workloads"
CHAINS = ROOT / "tests" / "kernel" / "chains.cpp"
CHAIN_MODES = ("plain", "threads", "exceptions")
PYTHONS = "WORKBENCH_TEST_PYTHONS"
"""Environment variable with commands of further interpreters, ";" between them."""
COMPILE_S = 120.0
VERSION = "import platform, sys; print(platform.python_version() + getattr(sys, 'abiflags', ''))"


@dataclass(frozen=True)
class Program:
    """A program to trace, or why it is not there.

    Parameters
    ----------
    name : str
    command : tuple of str
        Without its last argument, the seconds to run.
    missing : str
        Why there is none.
    """

    name: str
    command: tuple[str, ...] = ()
    missing: str = ""


def programs(folder: Path) -> list[Program]:
    """Find and compile all programs; what is compiled goes into the folder."""
    return [*pythons(), *_compiled(folder)]


def pythons() -> list[Program]:
    """Python of the system, of pyenv, of tools/debian-python.sh, and those in the environment."""
    named = [text.split() for text in os.environ.get(PYTHONS, "").split(";") if text.strip()]
    home = Path.home() / ".pyenv" / "versions"
    paths = [*home.glob("*/bin/python3"), *(ROOT / "build").glob("python3.*/bin/python3.*")]
    commands = [["/usr/bin/python3"], *([str(path)] for path in sorted(paths))]
    code = (SOURCES / "busy.py").read_text()
    found, missing = [], []
    for command in [*commands, *named]:
        version = _version(command)
        if version:
            found.append((f"Python {version}", command))
        else:
            missing.append(Program(" ".join(command), missing="it does not run"))
    count = Counter(name for name, _ in found)
    return [
        Program(f"{name}, {' '.join(c)}" if count[name] > 1 else name, (*c, "-c", code))
        for name, c in found
    ] + missing


def _version(command: list[str]) -> str:
    try:
        return _run([*command, "-c", VERSION]).strip()
    except BenchError:
        return ""


def _compiled(folder: Path) -> Iterator[Program]:
    for mode in CHAIN_MODES:
        yield _made(f"C++ -O2, {mode}", partial(_chains, folder, mode))
    yield _made("Rust -O", lambda: (_rust(folder),))
    yield _made("Node.js with JIT", partial(_node, folder))
    yield _made("Java, frame pointers", lambda: _java(folder))


def _made(name: str, make: Callable[[], tuple[str, ...]]) -> Program:
    try:
        return Program(name, make())
    except BenchError as error:
        return Program(name, missing=str(error))


def _tool(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path=Path.home() / ".cargo" / "bin")
    if not found:
        raise BenchError(f"{name} is not installed")
    return found


def _chains(folder: Path, mode: str) -> tuple[str, ...]:
    compiler, program, library = _tool("g++"), folder / "chains", folder / "libfar.so"
    flags = [compiler, "-O2", "-fomit-frame-pointer", "-pthread"]
    if not program.exists():
        source = folder / "far.cpp"
        source.write_text('extern "C" long far_away(long n) { return n + 1; }\n')
        _run([*flags, "-shared", "-fPIC", "-o", str(library), str(source)])
        path = f"-Wl,-rpath,{folder}"
        _run([*flags, "-o", str(program), str(CHAINS), str(library), path])
    return str(program), mode


def _rust(folder: Path) -> str:
    program = str(folder / "busy-rust")
    _run([_tool("rustc"), "--edition=2021", "-O", "-o", program, str(SOURCES / "busy.rs")])
    return program


def _node(folder: Path) -> tuple[str, ...]:
    log = f"--logfile={folder}/node.log"  # else it writes one into the current directory
    command = (_tool("node"), "--perf-basic-prof", log)
    _run([*command, "-e", "0"], cleans=True)
    return (*command, str(SOURCES / "busy.js"))


def _java(folder: Path) -> tuple[str, ...]:
    _run([_tool("javac"), "-d", str(folder), str(SOURCES / "Busy.java")])
    return (_tool("java"), "-XX:+PreserveFramePointer", "-cp", str(folder), "Busy")


def _run(command: list[str], *, cleans: bool = False) -> str:
    """Run a command to its end and return what it prints."""
    try:
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            try:
                output, errors = process.communicate(timeout=COMPILE_S)
            finally:
                process.kill()
                if cleans:
                    remove_perf_map(process.pid)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BenchError(f"{Path(command[0]).name}: {error}") from error
    if process.returncode:
        raise BenchError(f"{Path(command[0]).name} fails: {errors.strip()[-200:]}")
    return output


def remove_perf_map(pid: int) -> None:
    """Remove the file in which a JIT has named its code (as for perf)."""
    Path(f"/tmp/perf-{pid}.map").unlink(missing_ok=True)
