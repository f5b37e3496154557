"""What whole stacks of a Python program cost, beside ``perf record`` and py-spy.

The program does a fixed amount of work. Each round it runs bare and then once under each tool,
which attaches to it before it begins.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import workbench as wb
from benches.harness import BenchError, Plan, Result, middle
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Callable

    Finish = Callable[[], dict[str, Any]]

PROGRAM = Path(__file__).parent / "workloads" / "fixed.py"
RATES_HZ = (99, 999)
BARE = "bare"
PERF = "perf"
PY_SPY = "WORKBENCH_TEST_PY_SPY"
"""Environment variable that names py-spy where it is not on the path."""
ATTACH_S = 1.5
"""How long perf and py-spy get to attach, about which they say nothing that can be waited for."""
END_S = 60.0
TRIAL = 2000
COLUMNS = {
    "seconds": "seconds",
    "slowed": "slowed down by",
    "cpu_more": "more CPU",
    "bpf_cpu": "BPF, of a core",
    "recorder_cpu": "recorder, of a core",
    "startup_cpu": "its start, CPU s",
    "bytes": "bytes left",
    "samples": "samples",
    "note": "",
}


def workbench_at(hz: int) -> str:
    """Return the row of the workbench at that rate."""
    return f"workbench, {hz} Hz"


class Work:
    """The program, waiting for its start."""

    def __init__(self, amount: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), str(amount)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout
        self.process.stdout.readline()

    def run(self) -> dict[str, float]:
        """Let it work to its end; return its own ``seconds`` and ``cpu``."""
        output, _ = self.process.communicate("go\n", timeout=END_S)
        told: dict[str, float] = json.loads(output)
        return told

    def __enter__(self) -> Work:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


def run(plan: Plan) -> Result:
    """Take ``plan.starts`` rounds of ``plan.window`` seconds; losses are those of each round."""
    tools: dict[str, Callable[[int, Path], Finish]] = {BARE: lambda _pid, _folder: dict}
    for make, title in ((_workbench, workbench_at), (_perf, _perf_at), (_py_spy, _py_spy_at)):
        tools |= {title(hz): make(hz) for hz in RATES_HZ}
    result = Result("stacks-cost", "What stacks of a Python program cost (median)", COLUMNS)
    with Work(TRIAL) as trial:
        amount = max(1, int(TRIAL * plan.window / trial.run()["seconds"]))
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in tools}
    failed: dict[str, str] = {}
    for _ in range(plan.starts):
        bare: dict[str, Any] = {}
        for name, attach in tools.items():
            if name in failed:
                continue
            try:
                told = measured(amount, attach)
            except (BenchError, OSError, subprocess.SubprocessError, WorkbenchError) as error:
                failed[name] = str(error)
                continue
            bare = bare or told
            slowed, more = (told[key] / bare[key] - 1 for key in ("seconds", "cpu"))
            found[name].append(told | {"slowed": slowed, "cpu_more": more})
    for name, rounds in found.items():
        row = middle(rounds) if rounds else {}
        runs = [each["seconds"] for each in rounds]
        result.rows.append(row | {"name": name, "note": failed.get(name, ""), "runs": runs})
    result.notes.append(
        "The CPU of perf and py-spy is all that they use, with their start; perf unwinds later."
    )
    return result


def measured(amount: int, attach: Callable[[int, Path], Finish]) -> dict[str, Any]:
    """Run the program once under a tool."""
    with tempfile.TemporaryDirectory(prefix="workbench-bench-") as folder, Work(amount) as work:
        finish = attach(work.process.pid, Path(folder))
        try:
            told: dict[str, Any] = dict(work.run())
        finally:
            tool = finish()
    if "cpu_s" in tool:
        tool["recorder_cpu"] = tool["cpu_s"] / told["seconds"]
    return told | tool


def _workbench(hz: int) -> Callable[[int, Path], Finish]:
    def attach(pid: int, folder: Path) -> Finish:
        output = folder / "session.wb"
        capture = wb.capture(
            {"cpu": {"hz": hz}}, pid=pid, wait=False, output=output, overhead="always",
            progress=False,
        ).start()  # fmt: skip

        def finish() -> dict[str, Any]:
            with capture.wait() as session:
                manifest = session.manifest
            return {"bytes": output.stat().st_size, **costs(manifest)}

        return finish

    return attach


def costs(manifest: Any) -> dict[str, Any]:
    """Return what a session says that it cost; ``bpf_cpu`` and ``recorder_cpu`` in cores."""
    return {
        "bpf_cpu": sum(row["cpu_share"] for row in manifest.overhead),
        "bpf_ns_per_run": max(
            (row["ns_per_run"] for row in manifest.overhead if row["kind"] == "cpu"), default=None
        ),
        "recorder_cpu": manifest.recorder["cpu_ns"] / manifest.recorder["wall_ns"],
        "startup_cpu": manifest.recorder["startup_cpu_ns"] / 1e9,
        "samples": manifest.rows("cpu"),
    }


def _perf_at(hz: int) -> str:
    return f"perf record --call-graph dwarf, {hz} Hz"


def _perf(hz: int) -> Callable[[int, Path], Finish]:
    words = [PERF, "record", "--call-graph", "dwarf", "-F", str(hz)]
    return lambda pid, folder: _command(words, pid, folder, r"\((\d+) samples\)")


def _py_spy_at(hz: int) -> str:
    return f"py-spy record, {hz} Hz"


def _py_spy(hz: int) -> Callable[[int, Path], Finish]:
    words = [os.environ.get(PY_SPY, "py-spy"), "record", "-f", "raw", "-r", str(hz)]
    return lambda pid, folder: _command(words, pid, folder, r"Samples: (\d+)")


def _command(words: list[str], pid: int, folder: Path, count: str) -> Finish:
    """Attach a tool that ends together with the program; ``count`` finds its samples."""
    if shutil.which(words[0]) is None:
        raise BenchError(f"{words[0]} is not installed")
    output, log = folder / "output", folder / "log"
    with log.open("w") as file:
        tool = subprocess.Popen(
            [*words, "-o", str(output), "-p", str(pid)], stdout=file, stderr=file
        )
    time.sleep(ATTACH_S)
    if tool.poll() is not None:
        raise BenchError(f"it ended with code {tool.returncode}: {log.read_text()[-200:].strip()}")

    def finish() -> dict[str, Any]:
        code, cpu = _wait(tool)
        text = log.read_text()
        if code or not output.exists():
            raise BenchError(f"it ended with code {code}: {text[-200:].strip()}")
        samples = re.findall(count, text)
        told = {"bytes": output.stat().st_size, "cpu_s": cpu}
        return told | ({"samples": int(samples[-1])} if samples else {})

    return finish


def _wait(tool: subprocess.Popen[bytes]) -> tuple[int, float]:
    """Wait for a tool, which is told to end after a while; return its code and CPU seconds."""
    start = time.monotonic()
    signals = iter(((5.0, signal.SIGINT), (END_S, signal.SIGKILL)))
    due, number = next(signals)
    while True:
        done, status, usage = os.wait4(tool.pid, os.WNOHANG)
        if done:
            tool.returncode = os.waitstatus_to_exitcode(status)
            return tool.returncode, usage.ru_utime + usage.ru_stime
        if time.monotonic() - start > due:
            os.kill(tool.pid, number)
            due, number = next(signals, (float("inf"), signal.SIGKILL))
        time.sleep(0.01)
