"""Tables of interrupts, from events and counts by hand."""

from pathlib import Path

import polars as pl
import pytest
from fake_recording import FakeRecording

from workbench.errors import MissingTableError
from workbench.frames import irq

ROWS = [
    {"cpu": 0, "pid": 5, "type": "device", "irq": 36, "handler": "disk", "duration": 10},
    {"cpu": 1, "pid": 5, "type": "device", "irq": 36, "handler": "disk", "duration": 30},
    {"cpu": 0, "pid": 6, "type": "device", "irq": 9, "handler": "", "duration": 1},
    {"cpu": 0, "pid": 5, "type": "softirq", "irq": 3, "duration": 7, "handler": ""},
    {"cpu": 0, "pid": 5, "type": "softirq", "irq": 99, "duration": 2, "handler": ""},
    {"cpu": 0, "pid": 6, "type": "local_timer", "irq": 236, "duration": 4, "handler": ""},
]
NAMES = [{"tid": 5, "comm": "five", "ts": 1}]
COUNTED = [
    {"pid": 5, "cpu": cpu, "type": "device", "irq": 36, "handler": "disk", "interrupts": 2,
     "duration_sum": 20, "duration_max": 12, "duration_hist": [0] * 3 + [2] + [0] * 60}
    for cpu in (0, 1)
]  # fmt: skip


def ns(frame, *columns):
    return frame.select(pl.col(columns).cast(pl.Int64)).rows()


def test_by_irq():
    found = irq.by_irq(FakeRecording(irq=ROWS))
    assert found.select("type", "irq", "name", "interrupts").rows() == [
        ("device", 36, "disk", 2),
        ("softirq", 3, "net_rx", 1),
        ("local_timer", 236, "local_timer", 1),
        ("softirq", 99, "softirq", 1),
        ("device", 9, "device", 1),
    ]
    assert ns(found, "taken", "p50", "max")[0] == (40, 10, 30)


def test_by_cpu_and_by_process():
    rec = FakeRecording(irq=ROWS, processes=NAMES)
    assert irq.by_cpu(rec).filter(irq=36)["cpu"].to_list() == [1, 0]
    found = irq.by_process(rec)
    assert found.columns[:3] == ["pid", "comm", "type"]
    assert found.select("pid", "comm", "name").rows()[0] == (5, "five", "disk")
    assert found["comm"].null_count() == 2


def test_counts_of_the_kernel():
    rec = FakeRecording(irq_agg=COUNTED)
    found = irq.by_irq(rec)
    assert found.select("name", "interrupts").rows() == [("disk", 4)]
    assert ns(found, "taken", "max") == [(40, 12)]
    assert 8 <= ns(found, "p50")[0][0] <= 16
    assert irq.by_cpu(rec)["interrupts"].to_list() == [2, 2]


def test_names_of_softirqs_are_those_of_the_kernel():
    lines = Path("/proc/softirqs").read_text().splitlines()[1:]
    names = [line.split(":")[0].strip().lower() for line in lines]
    assert list(irq.SOFTIRQS) == names


def test_nothing_there():
    with pytest.raises(MissingTableError, match="record irq"):
        irq.by_irq(FakeRecording())
    for empty in (FakeRecording(irq=[]), FakeRecording(irq_agg=[])):
        for function in (irq.by_irq, irq.by_cpu, irq.by_process):
            assert function(empty).is_empty()
