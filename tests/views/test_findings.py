from __future__ import annotations

from fake_recording import FakeRecording, stacks_of

from workbench.frames.flame import flame_tree
from workbench.views import findings


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
