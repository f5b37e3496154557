from __future__ import annotations

from datetime import UTC, datetime

from fake_recording import FakeRecording, offcpu_of, stacks_of

from workbench.frames.flame import flame_tree
from workbench.views import findings
from workbench.views.offcpu import OffcpuOverview


def test_profile() -> None:
    rec = stacks_of(
        [
            ("x", [("f", "", "native"), ("k", "[kernel]", "kernel")], 30),
            ("y", [("f", "", "native")], 70),
        ],
        manifest={"kinds": {"cpu": {"hz": 100}}},
    )
    assert findings.of_profile(flame_tree(rec)) == [
        ("CPU", "100 samples ≈ 1 s of CPU; by thread name: y 70.0%, x 30.0%."),
        ("Hottest functions", "f 70.0%, k 30.0% (share of self time)."),
        ("Kernel", "30.0% of the samples were in the kernel."),
    ]
    assert "No samples" in findings.of_profile(flame_tree(stacks_of([])))[0][1]


def test_offcpu() -> None:
    rows = [
        {"comm": "x", "state": "sleeping", "blocked": 3_000_000, "runnable": 1_000_000},
        {"comm": "y", "state": "preempted", "blocked": 0, "runnable": 1_000_000},
    ]
    rec = offcpu_of([{**row, "path": []} for row in rows])
    rec.start = datetime(1970, 1, 1, tzinfo=UTC)
    assert findings.of_offcpu(OffcpuOverview(rec)) == [  # type: ignore[arg-type]
        (
            "Waiting",
            "5 ms off the CPU over all threads in 2 periods; most: sleeping, preempted.",
        ),
        ("Blocked", "3 ms until woken; then 2 ms (40.0%, ready to run) for a CPU."),
        ("Longest wait", "4 ms: x, sleeping."),
    ]


def test_processes_and_recording() -> None:
    rows = [
        {"ts": 1, "event": "fork", "pid": 5, "tid": 5, "exit_code": None},
        {"ts": 2, "event": "exit", "pid": 5, "tid": 5, "exit_code": 9},
        {"ts": 0, "event": "snapshot", "pid": 1, "tid": 1, "exit_code": None},
    ]
    rec = FakeRecording(processes=rows)
    assert findings.of_processes(rec) == [  # type: ignore[arg-type]
        ("Processes", "2 seen, 1 started, 1 ended, 1 of these with an error or by a signal.")
    ]
    assert findings.of_processes(FakeRecording()) == []  # type: ignore[arg-type]
    assert findings.of_recording(rec) == [("Losses", "No event was lost.")]  # type: ignore[arg-type]
