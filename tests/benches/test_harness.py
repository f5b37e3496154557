"""The benches' arithmetic, tables and JSON on made-up figures, and one real small run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))

from benches import drain, goals, harness, report  # noqa: E402
from benches.child import Child, environment  # noqa: E402
from benches.harness import Load, Plan, Result, Snapshot  # noqa: E402


def test_rates_are_differences_over_wall_time():
    a = Snapshot(1_000, 10, 100, 50, 90, 1)
    b = Snapshot(2_000_001_000, 500_000_010, 4_000_100, 1_000_000_050, 3_000_090, 1_000_001)
    row = harness.rates(a, b)
    assert row["calls_per_s"] == 2e6
    assert row["ns_per_call"] == 250
    assert row["delivered_per_s"] == 1.5e6
    assert row["delivered_per_cpu_s"] == 6e6
    assert row["consumer_cpu"] == 0.25
    assert (row["dropped"], row["dropped_share"]) == (1_000_000, 0.25)


def test_rates_leave_out_what_is_not_known():
    row = harness.rates(Snapshot(0, 0, 7, 0), Snapshot(10, 0, 7, 0))
    assert row["calls_per_s"] == 0
    assert row["ns_per_call"] is row["delivered_per_s"] is row["dropped"] is None


def test_middle_takes_medians_of_numbers_only():
    rounds = [
        {"a": 1.0, "b": 5, "note": "x", "none": 2.0},
        {"a": 9.0, "note": "y", "none": None},
        {"a": 2.0, "b": 7, "note": "z", "none": None, "yes": True},
    ]
    assert harness.middle(rounds) == {"a": 2.0, "b": 6, "note": "z", "none": None, "yes": True}


def test_slow_downs_compare_with_untraced_and_count_only():
    rows = [
        {"name": drain.UNTRACED, "calls_per_s": 6e6},
        {"name": drain.COUNT, "calls_per_s": 3e6},
        {"name": drain.WORKBENCH, "calls_per_s": 2e6},
        {"name": drain.BCC_RING},
    ]
    drain.slow_downs(rows)
    assert [row["slowed_untraced"] for row in rows] == [1, 2, 3, None]
    assert [row["slowed_count"] for row in rows] == [0.5, 1, 1.5, None]


def test_load_survives_a_command_line():
    assert Load.parse(str(Load(3, (4, 5)))) == Load(3, (4, 5))


def test_cpu_clock_is_that_of_the_process():
    assert harness.cpu_ns(os.getpid()) == pytest.approx(time.process_time_ns(), rel=0.5)


def test_workload_counts_its_calls_and_is_gone_afterwards():
    with harness.workload(2) as load:
        assert len(load.pids) == 2
        before = harness.snapshot(load)
        time.sleep(0.05)
        after = harness.snapshot(load)
    assert after.calls > before.calls
    assert not any(Path(f"/proc/{pid}").exists() for pid in load.pids)


def test_silent_child_is_killed_by_its_deadline():
    child = Child("count")  # without arguments it ends at once
    with pytest.raises(harness.BenchError, match="ended with code 1"):
        child.hear()
    child.close()


def results():
    def row(name, delivered, **more):
        return {
            "name": name,
            "calls_per_s": 2e6,
            "delivered_per_s": delivered,
            "dropped_share": 0.0,
            "consumer_cpu": 0.1,
            "slowed_count": 1.2,
            **more,
        }

    made = Result("drain", "Drain", drain.COLUMNS)
    made.rows = [
        row(drain.WORKBENCH, 2.4e6),
        row(drain.BCC_DEFAULT, 0.1e6),
        row(drain.BCC_BEST, 0.9e6),
        row(drain.BCC_RING, 0.5e6, dropped_share=0.5),
        {"name": drain.BPFTRACE, "note": "bpftrace is not installed"},
    ]
    return {"drain": made}


def test_goals_are_told_with_what_was_measured():
    by_text = {goal.text: goal for goal in goals.goals(results())}
    default = by_text["× BCC's default callbacks, syscalls, one dd"]
    assert (default.value, default.reached) == (pytest.approx(24), True)
    best = by_text["× BCC's best setting, syscalls, one dd"]
    assert (best.value, best.reached) == (pytest.approx(2.4e6 / 0.9e6), False)
    assert by_text["× bpftrace into a CSV reader, delivered"].reached is None
    assert by_text["of a core for the recorder then (drain)"].reached is True
    assert by_text["× BCC's best setting, one hook, one dd"].reached is None


def test_lossy_run_reaches_no_rate():
    lossy = results()
    lossy["drain"].rows[0]["dropped_share"] = 0.01
    rate = next(g for g in goals.goals(lossy) if "nothing lost" in g.text)
    assert rate.value is None
    for bench in goals.RATES:
        row = {"name": drain.WORKBENCH, "delivered_per_s": 1.0, "dropped_share": 0.5}
        lossy[bench] = Result(bench, "", {}, [row])
    assert next(g for g in goals.goals(lossy) if "nothing lost" in g.text).value is None


def test_json_holds_rows_ratios_and_goals(tmp_path):
    report.write(tmp_path / "new" / "r.json", report.document(results(), Plan()))
    read = json.loads((tmp_path / "new" / "r.json").read_text())
    assert read["results"]["drain"]["rows"][0]["name"] == drain.WORKBENCH
    delivered = read["ratios"]["drain: events delivered per second"]
    assert delivered[drain.BCC_DEFAULT] == pytest.approx(24)
    assert drain.BPFTRACE not in delivered
    assert {goal["reached"] for goal in read["goals"]} == {True, False, None}
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["r.json"]


def test_tables_show_every_row_and_why_one_is_missing():
    console = Console(record=True, width=250, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(report.table(results()["drain"]))
    report.show(results(), console)
    text = console.export_text()
    console.file.close()
    for name in (drain.WORKBENCH, drain.BCC_DEFAULT, drain.BCC_BEST, drain.BPFTRACE):
        assert name in text
    assert "bpftrace is not installed" in text
    assert "2.400 M" in text
    assert "not reached" in text


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("calls_per_s", None, "–"),
        ("calls_per_s", 2_345_678.0, "2.346 M"),
        ("consumer_cpu", 0.1234, "12.3%"),
        ("ns_per_event", 16_600.4, "16,600"),
        ("total", 0.2871, "0.287"),
        ("note", "text", "text"),
    ],
)
def test_cell(key, value, shown):
    assert report.cell(key, value) == shown


@pytest.mark.kernel
def test_first_event_bench_runs(tmp_path, nothing_left):
    """The smallest bench that uses the kernel, through the command line."""
    output = tmp_path / "results.json"
    command = [sys.executable, "-m", "benches", "--quick", "--only", "first-event"]
    done = subprocess.run([*command, "--output", output], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = json.loads(output.read_text())["results"]["first-event"]["rows"]
    by_name = {row["name"]: row for row in rows}
    assert by_name["workbench"]["total"] > 0, by_name["workbench"]["note"]
    assert "workbench" in done.stdout


def test_consumers_start_with_byte_code(monkeypatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("KEPT", "x")
    found = environment("/somewhere")
    assert "PYTHONDONTWRITEBYTECODE" not in found
    assert (found["TMPDIR"], found["KEPT"]) == ("/somewhere", "x")
