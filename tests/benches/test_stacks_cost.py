"""The benches of what stacks cost and of when they are ready: small real runs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))

from benches import goals, stacks_cost, stacks_start  # noqa: E402
from benches.harness import BenchError, Plan, Result  # noqa: E402
from workbench.store.manifest import Manifest  # noqa: E402

SMALL = Plan(window=0.3, starts=1)


def test_costs_are_shares_of_a_core():
    manifest = Manifest(
        {"cpu": {}},
        0,
        overhead=(
            {"kind": "cpu", "program": "cpu_sample", "cpu_share": 0.01, "ns_per_run": 9e3},
            {"kind": "process", "program": "process_exit", "cpu_share": 0.002, "ns_per_run": 1e4},
        ),
        recorder={"cpu_ns": 2 * 10**8, "wall_ns": 4 * 10**9, "startup_cpu_ns": 5 * 10**8},
        tables={"cpu": {"rows": 7}},
    )
    costs = stacks_cost.costs(manifest)
    assert costs["bpf_cpu"] == pytest.approx(0.012)
    assert costs["bpf_ns_per_run"] == 9e3
    assert (costs["recorder_cpu"], costs["startup_cpu"]) == (0.05, 0.5)
    assert costs["samples"] == 7


def test_goals_are_of_the_workbench_at_each_rate():
    rows = [
        {"name": stacks_cost.workbench_at(99), "bpf_cpu": 0.001},
        {"name": stacks_cost.workbench_at(999), "bpf_cpu": 0.03},
    ]
    start = [
        {"name": stacks_start.WORKBENCH, "total": 0.6},
        {"name": stacks_start.PREPARED, "total": 0.25},
    ]
    found = goals.goals(
        {
            "stacks-cost": Result("stacks-cost", "", {}, rows),
            "stacks-start": Result("stacks-start", "", {}, start),
        }
    )
    reached = {goal.text: goal.reached for goal in found if "stacks" in goal.text}
    assert reached["of a core for stacks in the kernel, 99 Hz"] is True
    assert reached["of a core for stacks in the kernel, 999 Hz"] is False
    assert reached["s until stacks of a process are recorded, prepared"] is True
    assert reached["s until stacks of a process are recorded, first capture"] is False


def test_work_waits_for_its_start_and_tells_its_time():
    with stacks_cost.Work(50) as work:
        begin = time.monotonic()
        told = work.run()
        assert 0 < told["seconds"] <= time.monotonic() - begin
    assert work.process.returncode == 0


def test_tool_that_ends_at_once_is_no_measurement(tmp_path, monkeypatch):
    monkeypatch.setattr(stacks_cost, "ATTACH_S", 0.3)
    with pytest.raises(BenchError, match="ended with code 1"):
        stacks_cost._command(["false"], os.getpid(), tmp_path, "x")
    with pytest.raises(BenchError, match="is not installed"):
        stacks_cost._command(["nowhere-to-be-found"], os.getpid(), tmp_path, "x")


def test_cpu_of_a_tool_is_its_own():
    code = "import time\nwhile time.process_time() < 0.3: pass"
    tool = subprocess.Popen([sys.executable, "-c", code])
    code, cpu = stacks_cost._wait(tool)
    assert code == 0
    assert cpu >= 0.3


@pytest.mark.kernel
@pytest.mark.usefixtures("nothing_left")
def test_small_run_of_the_workbench(monkeypatch):
    monkeypatch.setattr(stacks_cost, "PERF", "nowhere-to-be-found")
    monkeypatch.setenv(stacks_cost.PY_SPY, "nowhere-to-be-found")
    result = stacks_cost.run(SMALL)
    rows = {row["name"]: row for row in result.rows}
    assert rows[stacks_cost.BARE]["slowed"] == 0
    for hz in stacks_cost.RATES_HZ:
        row = rows[stacks_cost.workbench_at(hz)]
        assert row["samples"] > 0, row["note"]
        assert 0 < row["bpf_cpu"] < 1
        assert row["bytes"] > 1000
    missing = [row["note"] for row in result.rows if "samples" not in row]
    assert missing == ["", *["nowhere-to-be-found is not installed"] * 4]


@pytest.mark.kernel
@pytest.mark.usefixtures("nothing_left")
def test_small_run_of_the_start():
    result = stacks_start.run(SMALL)
    assert [row["name"] for row in result.rows] == list(stacks_start.ROWS)
    for row in result.rows:
        assert row["total"] > 0, row["note"]
        assert len(row["runs"]) == 1
