"""Threads that run or wait when a capture ends."""

import numpy as np
import pytest

from workbench.elf import Elf
from workbench.event_texts import OFF_STATES, RUN_CAUSES
from workbench.kinds import OBJECTS
from workbench.probe.btf import Btf
from workbench.probe.layout import event_layout
from workbench.recorder.sched_source import QUEUED, RUNNING, open_runs

BLOCKED = 1


def layout_of(name):
    with Elf.open(OBJECTS / "sched.bpf.o") as elf:
        return event_layout(Btf.parse(elf.section_bytes(".BTF")), name)


EVENT = layout_of("sched_event").dtype


def slots_of(*threads):
    """(phase, tid, ts, ready, latency, cause) each."""
    slots = np.zeros(len(threads), layout_of("slot").dtype)
    for slot, (phase, tid, ts, ready, latency, cause) in zip(slots, threads, strict=True):
        head = np.zeros(1, EVENT)
        head["tid"], head["ts"], head["latency"], head["cpu"] = tid, ts, latency, 3
        head["cause"] = RUN_CAUSES.index(cause)
        slot["event"] = head.view(np.uint64)
        slot["phase"], slot["ready"], slot["last_cpu"] = phase, ready, 1
    return slots


def test_running_and_waiting_threads():
    slots = slots_of(
        (RUNNING, 5, 600, 590, 10, "woken"),
        (QUEUED, 6, 100, 700, 4, "preempted"),
        (BLOCKED, 7, 100, 0, 4, "woken"),
        (QUEUED, 0, 0, 950, 0, "woken"),
        (RUNNING, 8, 1200, 1200, 0, "unknown"),  # got the CPU after the end
    )
    found = open_runs(slots, EVENT, now=1000, min_ns=0)
    assert found["tid"].tolist() == [5, 6, 8]
    assert found["ran"].tolist() == [400, 0, 0]
    assert found["latency"].tolist() == [10, 300, 0]
    assert found["ts"].tolist() == [600, 1000, 1200]
    assert found["cpu"].tolist() == [3, 1, 3]
    assert set(found["open"]) == {1}
    assert {OFF_STATES[n] for n in found["state"]} == {"none"}


@pytest.mark.parametrize("least", [0, 11, 400])
def test_short_waits_are_left_out(least):
    slots = slots_of((RUNNING, 5, 600, 590, 10, "woken"), (QUEUED, 6, 0, 700, 0, "preempted"))
    found = open_runs(slots, EVENT, now=1000, min_ns=least)
    assert found["tid"].tolist() == [tid for tid, wait in ((5, 10), (6, 300)) if wait >= least]


def test_nothing_runs():
    assert len(open_runs(slots_of(), EVENT, now=1, min_ns=0)) == 0
