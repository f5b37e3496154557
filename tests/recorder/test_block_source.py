"""Requests that are still open at the end are lost, and counted where they began."""

from types import SimpleNamespace

import numpy as np

from workbench.elf import Elf
from workbench.kinds import OBJECTS
from workbench.probe.btf import Btf
from workbench.probe.layout import event_layout
from workbench.recorder import block_source as module

with Elf.open(OBJECTS / "block.bpf.o") as elf:
    BTF = Btf.parse(elf.section_bytes(".BTF"))


def source_with(cpus):
    """A source in whose map requests are left that began on these CPUs."""
    event, pending = event_layout(BTF, "block_event"), event_layout(BTF, "pending")
    events = np.zeros(len(cpus), event.dtype)
    events["cpu"] = cpus
    left = np.zeros(len(cpus), pending.dtype)
    left["event"] = events.view(np.uint64).reshape(left["event"].shape)
    values = left.view(np.uint8).reshape(len(cpus), pending.dtype.itemsize)
    requests = SimpleNamespace(items=lambda: (None, values))
    made = SimpleNamespace(maps={"requests": requests}, layout=lambda name: event_layout(BTF, name))
    return SimpleNamespace(kind="block", object=made, layout=event)


def test_open_requests_are_lost():
    known = {"kind": "block", "cpu": 1, "produced": 5, "delivered": 4, "dropped": {"unseen": 1}}
    assert module.with_open(source_with([1, 0, 1]), [dict(known)]) == [
        {"kind": "block", "cpu": 0, "produced": 1, "delivered": 0, "dropped": {"unseen": 1}},
        {"kind": "block", "cpu": 1, "produced": 7, "delivered": 4, "dropped": {"unseen": 3}},
    ]
    assert module.with_open(source_with([]), [known]) == [known]
