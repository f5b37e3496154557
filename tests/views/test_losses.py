from __future__ import annotations

from fake_recording import FakeRecording

from workbench.views.losses import Losses, loss_banner

HOSTILE = "<img src=x onerror=alert(1)>"


def test_lossy_recording() -> None:
    losses = ({"kind": HOSTILE, "cpu": 0, "produced": 2, "delivered": 1, "dropped": {HOSTILE: 1}},)
    overhead = ({"kind": "cpu", "program": HOSTILE, "run_count": 3, "ns_per_run": 150.0},)
    cost = {"cpu_ns": 5, "wall_ns": 100, "max_rss_bytes": 1 << 20}
    rec = FakeRecording({"losses": losses, "overhead": overhead, "recorder": cost})
    text = Losses(rec)._repr_html_()  # type: ignore[arg-type]
    assert "wb-banner" in text
    assert "<img" not in text
    assert "150 ns" in text
    assert "5.00% of one CPU and 1 MiB of memory" in text
    assert "1 of 2 events" in repr(Losses(rec))  # type: ignore[arg-type]


def test_nothing_lost_nothing_known() -> None:
    rec = FakeRecording()
    assert loss_banner(rec) == ""  # type: ignore[arg-type]
    assert "counted nothing" in Losses(rec).fragment()  # type: ignore[arg-type]
    assert "nothing was lost" in repr(Losses(rec))  # type: ignore[arg-type]


def test_problems_are_shown() -> None:
    rec = FakeRecording({"problems": (f"cpu: {HOSTILE}",)})
    text = Losses(rec).fragment()  # type: ignore[arg-type]
    assert "wb-banner" in text
    assert "cpu: &lt;img" in text
    assert HOSTILE in repr(Losses(rec))  # type: ignore[arg-type]


def test_incomplete_stacks_are_shown() -> None:
    entry = {"kind": "cpu", "cpu": 0, "produced": 4, "delivered": 4, "dropped": {}}
    rec = FakeRecording({"losses": (entry | {"stacks": {"complete": 3, HOSTILE: 1}},)})
    text = Losses(rec).fragment()  # type: ignore[arg-type]
    assert "1 of 4 stacks of cpu are incomplete (25.0%: &lt;img" in text
    assert "1 of 4 stacks" in repr(Losses(rec))  # type: ignore[arg-type]
