"""Records with two stacks, taken apart; and periods that are open at the end."""

from types import SimpleNamespace

import numpy as np
import pytest

from workbench.batch import Batcher
from workbench.elf import Elf
from workbench.event_texts import STACK_STATUSES
from workbench.kinds import OBJECTS
from workbench.probe.btf import Btf
from workbench.probe.layout import event_layout
from workbench.recorder.offcpu_source import OffcpuSource, open_periods, waker_records
from workbench.recorder.stack_words import split


def layout_of(name):
    with Elf.open(OBJECTS / "offcpu.bpf.o") as elf:
        return event_layout(Btf.parse(elf.section_bytes(".BTF")), name)


@pytest.fixture
def bare():
    """A source without an object, and a worker that keeps what it is handed."""
    source = object.__new__(OffcpuSource)
    source.layout, source.table = layout_of("offcpu_event"), "offcpu"
    source.schema = source._schema()
    source._batcher = Batcher(source.layout, source.schema, 1000)
    source._ended = np.zeros((2, len(STACK_STATUSES)), np.int64)
    handed = []
    source._worker = SimpleNamespace(submit=handed.append)
    return source, handed


def records_of(layout, stacks):
    """One record for each (kernel, user, waker's kernel, waker's user) depths."""
    records = np.zeros(len(stacks), layout.dtype)
    names = ("kernel_depth", "user_depth", "waker_kernel_depth", "waker_user_depth")
    for name, depths in zip(names, zip(*stacks, strict=True), strict=True):
        records[name] = depths
    records["pid"], records["waker_pid"] = np.arange(len(stacks)), 100 + np.arange(len(stacks))
    return records


STACKS = [(2, 1, 1, 1), (1, 0, 0, 0), (0, 0, 0, 2), (0, 1, 1, 0)]


@pytest.mark.parametrize("padding", [0, 1])
def test_both_stacks_are_handed_over(bare, padding):
    source, handed = bare
    records = records_of(source.layout, STACKS)
    counts = np.array([sum(depths) for depths in STACKS]) + padding
    words, number = [], 0
    for depths in STACKS:
        words += [*range(number, number + sum(depths)), *[999] * padding]
        number += sum(depths)
    source._submit(records, np.array(words, np.uint64), counts)
    (samples,) = handed
    assert samples.stacks == 2
    assert samples.cpus.tolist() == [0] * 4
    assert samples.records["pid"].tolist() == [0, 1, 2, 3, 100, 101, 102, 103]
    parts = split(samples)
    assert parts.depths.tolist() == [3, 1, 0, 1, 2, 0, 2, 1]
    assert parts.native.tolist() == [0, 1, 2, 5, 8, 3, 4, 6, 7, 9]
    batch = samples.make_batch(samples.records, np.arange(10, 18, dtype=np.uint32))
    assert batch["stack_id"].to_pylist() == [10, 11, 12, 13]
    assert batch["waker_stack_id"].to_pylist() == [14, None, 16, 17]
    assert batch["pid"].to_pylist() == [0, 1, 2, 3]
    assert source._ended[0, 0] == 4


def test_without_wakers_each_record_comes_once(bare):
    source, handed = bare
    records = records_of(source.layout, [(1, 0, 0, 0), (0, 2, 0, 0)])
    source._submit(records, np.arange(3, dtype=np.uint64), np.array([1, 2]))
    (samples,) = handed
    assert (samples.stacks, len(samples.records)) == (1, 2)
    batch = samples.make_batch(records, np.array([3, 4], np.uint32))
    assert batch["waker_stack_id"].null_count == 2
    assert batch["state"].to_pylist() == ["preempted"] * 2


def test_what_is_told_of_wakers():
    records = records_of(layout_of("offcpu_event"), STACKS)
    wakers = waker_records(records)
    assert wakers["user_depth"].tolist() == [1, 0, 2, 0]
    assert wakers["pid"].tolist() == [100, 101, 102, 103]
    assert records["user_depth"].tolist() == [1, 0, 0, 1]


def slots_of(periods):
    """Slots for (off, ts, woken, words)."""
    layout, event = layout_of("slot"), layout_of("offcpu_event").dtype
    slots = np.zeros(len(periods), layout.dtype)
    for slot, (off, ts, woken, words) in zip(slots, periods, strict=True):
        head = np.zeros(1, event)
        head["ts"], head["user_depth"] = ts, len(words)
        packed = np.concatenate([head.view(np.uint64), np.array(words, np.uint64)])
        slot["event"][: len(packed)] = packed
        slot["off"], slot["woken"], slot["wake_tid"], slot["confirmed"] = off, woken, 9, woken > 0
    return slots, slots["event"], event


def test_open_periods():
    slots = slots_of([(1, 100, 0, [1, 2]), (0, 200, 0, [3]), (1, 300, 450, [4]), (1, 990, 0, [5])])
    records, words, counts = open_periods(*slots, now=1000, min_ns=20)
    assert records["ts"].tolist() == [100, 300]
    assert records["blocked"].tolist() == [900, 150]
    assert records["runnable"].tolist() == [0, 550]
    assert records["waker_tid"].tolist() == [0, 9]
    assert records["open"].tolist() == [1, 1]
    assert (words.tolist(), counts.tolist()) == ([1, 2, 4], [2, 1])


def test_no_open_periods():
    records, words, counts = open_periods(*slots_of([(0, 1, 0, [1])]), now=1000, min_ns=0)
    assert len(records) == len(words) == len(counts) == 0
