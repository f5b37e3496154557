"""Waits that last when a capture ends."""

from types import SimpleNamespace

import numpy as np

from workbench.elf import Elf
from workbench.event_texts import LOCK_EVENTS, STACK_STATUSES
from workbench.kinds import OBJECTS
from workbench.probe.btf import Btf
from workbench.probe.layout import event_layout
from workbench.recorder.locks_source import LocksSource, StackLocksSource, open_waits
from workbench.recorder.source import KindSetup


def layout_of(name, kind="locks"):
    with Elf.open(OBJECTS / f"{kind}.bpf.o") as elf:
        return event_layout(Btf.parse(elf.section_bytes(".BTF")), name)


def calls_of(*calls):
    """(event, tid, ts, lock, owner) each."""
    made = np.zeros(len(calls), layout_of("call").dtype)
    for call, (event, tid, ts, lock, owner) in zip(made, calls, strict=True):
        call["event"] = LOCK_EVENTS.index(event)
        call["tid"], call["ts"], call["lock"], call["owner_tid"] = tid, ts, lock, owner
    return made


CALLS = calls_of(("wait", 1, 100, 64, 2), ("wake", 2, 50, 64, 0), ("wait", 3, 990, 65, 0))


def test_only_waits_count():
    event = layout_of("locks_event").dtype
    found = open_waits(CALLS, event, now=1000, min_ns=0)
    assert found["tid"].tolist() == [1, 3]
    assert found["waited"].tolist() == [900, 10]
    assert found["owner_tid"].tolist() == [2, 0]
    assert found["open"].tolist() == [1, 1]
    assert open_waits(CALLS, event, now=1000, min_ns=11)["tid"].tolist() == [1]
    assert len(open_waits(CALLS[:0], event, now=1000, min_ns=0)) == 0


def test_with_stacks_they_have_none():
    source = object.__new__(StackLocksSource)
    source.layout, source.table = layout_of("locks_event", "locks_stacks"), "locks"
    handed = []
    source._worker = SimpleNamespace(submit=handed.append)
    records = open_waits(CALLS, source.layout.dtype, now=1000, min_ns=0)
    assert source._hand_over(records) == []
    (samples,) = handed
    assert len(samples.words) == 0
    assert {STACK_STATUSES[n] for n in samples.records["stack_status"]} == {"kernel_only"}


def test_a_kernel_that_does_not_tell_is_said():
    source = object.__new__(LocksSource)
    for kernel, programs, told in ((1, {}, 1), (0, {}, 0), (1, {"contention_begin": None}, 0)):
        source._wanted = KindSetup(None, None, {"kernel": kernel}, {}, 0)
        source.object = SimpleNamespace(programs=programs)
        assert len([p for p in source.problems() if "contention_begin" in p]) == told
