"""The bench of whole stacks: its counting, what it leaves out, and one real small run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))

from benches import goals, report, stacks_complete, whole_programs  # noqa: E402
from benches.harness import Plan, Result  # noqa: E402
from benches.whole_programs import Program  # noqa: E402

START = datetime(2026, 11, 24, tzinfo=UTC)


def samples(*rows):
    """Return samples of (seconds, status, function)."""
    return pl.DataFrame(
        {
            "ts": [START + timedelta(seconds=s) for s, _, _ in rows],
            "stack_status": [status for _, status, _ in rows],
            "function": [function for _, _, function in rows],
            "module": ["/usr/lib/libc.so.6"] * len(rows),
            "offset": [0] * len(rows),
        },
        schema_overrides={"ts": pl.Datetime("ns", "UTC")},
    )


def test_incomplete_stacks_are_counted_by_status_time_and_end():
    counted = stacks_complete.counts(
        samples(
            (0.0, "complete", "_start"),
            (0.1, "image_missing", "memcpy"),
            (0.9, "kernel_only", None),
            (1.5, "image_missing", "memcpy"),
            (2.0, "read_fault", "raise"),
        )
    )
    assert (counted["samples"], counted["whole"]) == (5, pytest.approx(0.4))
    assert counted["incomplete"] == "image_missing 1 + 1, read_fault 0 + 1"
    assert counted["ends"] == "2 memcpy (libc.so.6), 1 raise (libc.so.6)"


def test_without_samples_there_is_no_share():
    counted = stacks_complete.counts(samples((0.0, "complete", "x")).clear())
    assert (counted["samples"], counted["whole"], counted["incomplete"]) == (0, None, "")


def test_the_worst_program_is_the_goal_of_its_state():
    result = Result("stacks-complete", "", {})
    for name, state, whole in (("a", "warm", 0.999), ("b", "warm", 0.99), ("a", "cold", None)):
        result.rows.append({"name": f"{name}, {state}", "state": state, "whole": whole})
    found = [goal for goal in goals.goals({"stacks-complete": result}) if "incomplete" in goal.text]
    by_state = {goal.text.split("incomplete, ")[1][:4]: goal for goal in found}
    assert by_state["warm"].value == pytest.approx(0.01)
    assert by_state["warm"].reached is False
    assert by_state["warm"].text.endswith("(worst: b, warm)")
    assert by_state["cold"].reached is None
    assert report.cell("whole", 0.99871) == "99.87%"


def test_interpreters_come_from_the_environment(monkeypatch):
    named = f"{sys.executable} -I;/nowhere/python3 -E"
    monkeypatch.setenv(whole_programs.PYTHONS, named)
    found = whole_programs.pythons()
    (ours,) = [p for p in found if p.command[:2] == (sys.executable, "-I")]
    assert f"Python {sys.version.split()[0]}" in ours.name
    assert "total" in ours.command[-1]
    assert [p.name for p in found if p.missing] == ["/nowhere/python3 -E"]


def test_what_is_missing_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr(stacks_complete, "programs", lambda f: [*whole_programs._compiled(f)])
    result = stacks_complete.run(Plan.quick())
    assert not result.rows
    assert "Rust -O: left out, rustc is not installed" in result.notes
    assert "XDG_CACHE_HOME" not in os.environ or os.environ["XDG_CACHE_HOME"] != str(tmp_path)


@pytest.mark.skipif(shutil.which("node") is None, reason="no Node.js")
def test_node_leaves_no_file(tmp_path, monkeypatch):
    (logs := tmp_path / "logs").mkdir()
    (here := tmp_path / "here").mkdir()
    monkeypatch.chdir(here)
    command = whole_programs._node(logs)
    with subprocess.Popen([*command, "0.1"], stdout=subprocess.PIPE) as process:
        assert process.communicate(timeout=20)[0] == b""
        assert process.returncode == 0
    assert Path(f"/tmp/perf-{process.pid}.map").stat().st_size > 0
    whole_programs.remove_perf_map(process.pid)
    assert not list(here.iterdir())


@pytest.mark.kernel
@pytest.mark.usefixtures("nothing_left")
def test_small_run_of_python(tmp_path, monkeypatch):
    command = (sys.executable, "-c", (whole_programs.SOURCES / "busy.py").read_text())
    monkeypatch.setattr(stacks_complete, "programs", lambda _: [Program("Python", command)])
    before = dict(os.environ)
    result = stacks_complete.run(Plan(window=0.5))
    assert os.environ == before
    assert [row["name"] for row in result.rows] == ["Python, cold", "Python, warm"]
    for row in result.rows:
        assert row["samples"] > 100
        assert row["whole"] > 0.5, row["incomplete"]
