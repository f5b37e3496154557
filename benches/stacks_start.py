"""How long a capture of stacks takes to be ready, and what its parts add."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from benches.child import Child
from benches.harness import BenchError, Plan, Result, middle
from benches.whole_programs import SOURCES

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKBENCH = "workbench"
COLUMNS = {"total": "seconds", "runs_text": "from … to", "steps": "of which", "note": ""}
PREPARED = "workbench, prepared"
ROWS = {
    WORKBENCH: ("python", "cpu, native and Python stacks"),
    PREPARED: ("prepared", "the same, after wb.prepare() or %load_ext workbench"),
    "workbench, native": ("native", "cpu without the frames of Python"),
    "workbench, kernel": ("kernel", "cpu without user stacks"),
}


@contextmanager
def _busy(seconds: float) -> Iterator[int]:
    code = (SOURCES / "busy.py").read_text()
    process = subprocess.Popen([sys.executable, "-c", code, str(seconds)])
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


def run(plan: Plan) -> Result:
    """Measure how long captures of a running Python program take to be ready, warm."""
    result = Result("stacks-start", "capture() to ready, a running Python (median)", COLUMNS)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in ROWS}
    failed: dict[str, str] = {}
    with _busy(600.0) as pid:
        for number in range(plan.starts + 1):  # the first fills the caches
            for name, (stacks, _note) in ROWS.items():
                try:
                    with Child("stacks_ready", str(pid), stacks) as child:
                        told = child.hear()
                    if number:
                        found[name].append(told)
                except BenchError as error:
                    failed[name] = str(error)
    for name, (_stacks, note) in ROWS.items():
        runs = [told["total"] for told in found[name]]
        text = f"{min(runs):.3f} … {max(runs):.3f}" if runs else ""
        seconds = middle(found[name]) if runs else {}
        steps = ", ".join(f"{key} {value:.3f}" for key, value in seconds.items() if key != "total")
        row = {"name": name, "note": failed.get(name, note), "runs_text": text, "steps": steps}
        result.rows.append(seconds | row | {"runs": runs})
    return result
