"""What it costs a program when its allocations are looked at: malloc() and free(), over and over.

Each round, the program runs bare and then under each tool. It measures the CPU time of a pair of
calls itself, traps into the kernel included.
"""

from __future__ import annotations

import ctypes.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import workbench as wb
from benches.harness import BenchError, Plan, Result, middle
from benches.whole_programs import SOURCES
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Run = Callable[[str, Path], dict[str, Any]]

BARE = "bare"
WORKBENCH = "workbench, a command"
WORKBENCH_ALL = "workbench, a command, every allocation"
PROBES = "workbench, a running process"
PROBES_ALL = "workbench, a running process, every allocation"
MEMLEAK = "bcc memleak"
MEMLEAK_RATE = "bcc memleak -s 1000"
BPFTRACE = "bpftrace, bytes by stack"
FAST, SLOW = 2_000_000, 50_000
"""Pairs of calls, where most of them do not trap, and where all do."""
SAMPLED = 1 << 19
ATTACH_S = 1.5
"""Without another probe for so long, BCC and bpftrace have attached all."""
END_S = 60.0
COLUMNS = {
    "ns_per_pair": "ns for malloc + free",
    "times": "times bare",
    "events": "events",
    "dropped": "lost",
    "note": "",
}
_SCRIPT = """
uprobe:LIBC:malloc { @size[tid] = arg0; }
uretprobe:LIBC:malloc /@size[tid]/ { @bytes[ustack] = sum(@size[tid]); delete(@size[tid]); }
uprobe:LIBC:free { @freed = count(); }
"""


def run(plan: Plan) -> Result:
    """Take ``plan.rounds`` rounds."""
    todo: dict[str, tuple[Run, str]] = {
        BARE: (_bare, ""),
        WORKBENCH: (_command(SAMPLED), "the kind memory as it is: one in 512 KB, preloaded"),
        WORKBENCH_ALL: (_command(0), "sample_bytes=0: a trap and a stack for each malloc"),
        PROBES: (_attached(SAMPLED), "three traps for each pair, a stack for one in 512 KB"),
        PROBES_ALL: (_attached(0), "a stack for each malloc"),
        MEMLEAK: (_memleak(), "a stack by frame pointers for each malloc"),
        MEMLEAK_RATE: (_memleak("-s", "1000"), "a stack for every 1000th"),
        BPFTRACE: (_bpftrace, "a stack by frame pointers for each malloc"),
    }
    result = Result("memory-cost", "What watching malloc costs (median)", COLUMNS)
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in todo}
    failed: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="workbench-bench-") as folder:
        program = compiled(Path(folder))
        for _ in range(plan.rounds):
            for name, (measure, _note) in todo.items():
                if name in failed:
                    continue
                try:
                    found[name].append(measure(program, Path(folder)))
                except (BenchError, OSError, subprocess.SubprocessError, WorkbenchError) as error:
                    failed[name] = str(error)
    rows = {name: middle(rounds) if rounds else {} for name, rounds in found.items()}
    bare = rows[BARE].get("ns_per_pair")
    for name, row in rows.items():
        if bare and "ns_per_pair" in row:
            row["times"] = row["ns_per_pair"] / bare
        result.rows.append({"name": name, "note": failed.get(name) or todo[name][1], **row})
    return result


def compiled(folder: Path) -> str:
    """Compile the program.

    Raises
    ------
    OSError, subprocess.CalledProcessError
    """
    path = folder / "churn"
    command = ["cc", "-O2", "-fno-builtin", "-o", str(path), str(SOURCES / "churn.c")]
    subprocess.run(command, check=True)
    return str(path)


def _told(file: Path) -> dict[str, Any]:
    try:
        return {"ns_per_pair": float(file.read_text())}
    except (OSError, ValueError) as error:
        raise BenchError(f"the program did not end well: {error}") from error
    finally:
        file.unlink(missing_ok=True)


def _bare(program: str, folder: Path) -> dict[str, Any]:
    subprocess.run([program, str(FAST), str(folder / "told")], check=True, timeout=END_S)
    return _told(folder / "told")


def _events(manifest: Any) -> dict[str, Any]:
    losses = [row for row in manifest.losses if row["kind"] == "memory"]
    dropped = sum(sum(row["dropped"].values()) for row in losses)
    return {"events": sum(row["delivered"] for row in losses), "dropped": dropped}


def _command(sample_bytes: int) -> Run:
    def measure(program: str, folder: Path) -> dict[str, Any]:
        words = [program, str(FAST if sample_bytes else SLOW), str(folder / "told")]
        kinds = {"memory": {"sample_bytes": sample_bytes, "parts": ("heap",)}}
        session = wb.capture(kinds, command=words, progress=False, overhead="off")
        return _told(folder / "told") | _events(session.manifest)

    return measure


@contextmanager
def _waiting(program: str, folder: Path, pairs: int) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [program, str(pairs), str(folder / "told"), "wait"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout
        process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.communicate()


def _attached(sample_bytes: int) -> Run:
    def measure(program: str, folder: Path) -> dict[str, Any]:
        kinds = {"memory": {"sample_bytes": sample_bytes, "parts": ("heap",)}}
        with _waiting(program, folder, SLOW) as process:
            capture = wb.capture(
                kinds, pid=process.pid, wait=False, progress=False, overhead="off"
            ).start()  # fmt: skip
            try:
                process.communicate("go\n", timeout=END_S)
            finally:
                session = capture.stop()
        return _told(folder / "told") | _events(session.manifest)

    return measure


def _beside(words: list[str], environment: dict[str, str]) -> Run:
    """Run the program beside a tool, once that is attached; ``PID`` is the program's."""

    def measure(program: str, folder: Path) -> dict[str, Any]:
        if shutil.which(words[0]) is None:
            raise BenchError(f"{words[0]} is not installed")
        with _waiting(program, folder, SLOW) as process, (folder / "log").open("w+") as log:
            command = [word.replace("PID", str(process.pid)) for word in words]
            tool = subprocess.Popen(
                command, stdout=log, stderr=log, env={**os.environ, **environment}
            )
            try:
                _wait_for(tool, folder / "log")
                process.communicate("go\n", timeout=END_S)
            finally:
                tool.send_signal(signal.SIGINT)
                try:
                    tool.wait(END_S)
                except subprocess.TimeoutExpired:
                    tool.kill()
                    tool.wait()
        return _told(folder / "told")

    return measure


def _wait_for(tool: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until it has probes, and no more are added."""
    until, count, since = time.monotonic() + END_S, 0, time.monotonic()
    while not count or time.monotonic() - since < ATTACH_S:
        if tool.poll() is not None or time.monotonic() > until:
            raise BenchError(f"it does not begin: {log.read_text()[-800:].strip()}")
        time.sleep(0.05)
        found = _perf_events(tool.pid)
        if found != count:
            count, since = found, time.monotonic()


def _perf_events(pid: int) -> int:
    folder = f"/proc/{pid}/fd"
    count = 0
    try:
        for name in os.listdir(folder):
            count += str(Path(folder, name).readlink()) == "anon_inode:[perf_event]"
    except OSError:  # it has just closed one, or has ended
        return 0
    return count


def _memleak(*options: str) -> Run:
    def measure(program: str, folder: Path) -> dict[str, Any]:
        from workbench.probe.bcc import headers

        tool = shutil.which("memleak-bpfcc")
        if tool is None:
            raise BenchError("memleak-bpfcc is not installed")
        words = [tool, "-p", "PID", *options, "3600"]
        found = headers.find()
        found.prepare(Path(tool).read_text())
        environment = {"BCC_KERNEL_SOURCE": str(found.path), "PYTHONUNBUFFERED": "1"}
        return _beside(words, environment)(program, folder)

    return measure


def _bpftrace(program: str, folder: Path) -> dict[str, Any]:
    name = ctypes.util.find_library("c")
    maps = Path("/proc/self/maps").read_text().split()
    libc = next((word for word in maps if word.endswith(f"/{name}")), "libc")
    words = ["bpftrace", "-p", "PID", "-e", _SCRIPT.replace("LIBC", libc)]
    return _beside(words, {})(program, folder)
