from __future__ import annotations

import re
from datetime import UTC, datetime

import polars as pl
import pytest
from fake_recording import FakeRecording

from workbench.views import summaries

ROWS = {
    "exec": [{"ts": 1, "event": "exec", "pid": 5, "comm": "<a>", "cmdline": "a b"},
             {"ts": 2, "event": "fork", "pid": 6, "ppid": 5, "comm": "kid"}],
    "sched": [{"tid": n, "pid": 7, "cause": "woken", "waker": "interrupt", "latency": 1000 + n}
              for n in range(1, 31)],
    "locks": [{"event": "wait", "type": "futex", "lock": 255, "waited": 2000, "open": 1}],
    "irq": [{"type": "softirq", "irq": 3, "duration": 3000, "handler": ""}],
    "signals": [{"event": "generated", "signal": 10, "result": "queued"}],
}  # fmt: skip


def test_each_kind_has_its_section():
    found = dict(summaries.sections(FakeRecording(**ROWS)))
    assert list(found) == [title for title, _ in summaries.SUMMARIES.values()]
    text = "".join(found.values())
    for part in ("SIGUSR1", "net_rx", "0xff", "&lt;a&gt;", "\u2003kid", "interrupt"):
        assert part in text, part
    assert "<a>" not in text
    assert "(first 15 of 30)" in found["Scheduling"]
    assert re.search(r"1\.0\d µs", found["Scheduling"])


@pytest.mark.parametrize("kind", ROWS)
def test_nothing_in_what_was_selected(kind):
    ((_, content),) = summaries.sections(FakeRecording(**{kind: []}))
    assert "None in what was selected" in content


def test_counts_of_the_kernel_have_their_tables():
    counted = FakeRecording(
        sched_agg=[{"pid": 1, "tid": 1, "runs": 1234, "latency_hist": [0] * 64}],
        irq_agg=[{"pid": 1, "type": "device", "irq": 3, "handler": "disk", "interrupts": 1,
                  "duration_hist": [1] + [0] * 63}],
    )  # fmt: skip
    found = dict(summaries.sections(counted))
    assert list(found) == ["Scheduling", "Interrupts"]
    assert "1,234" in found["Scheduling"]
    assert "disk" in found["Interrupts"]
    assert summaries.sections(FakeRecording()) == []


@pytest.mark.parametrize(
    ("column", "shown"),
    [
        (pl.Series("pid", [12345, None]), ["12345", "–"]),
        (pl.Series("runs", [12345]), ["12,345"]),
        (pl.Series("lock", [4096]), ["0x1000"]),
        (pl.Series("waited", [1500]).cast(pl.Duration("ns")), ["1.5 µs"]),
        (pl.Series("ts", [datetime(2026, 1, 2, 3, 4, 5, 6, UTC)]), ["03:04:05.000006"]),
    ],
)
def test_cells(column, shown):
    assert summaries.cells(column) == shown
