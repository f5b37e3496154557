"""Samples with stacks: what the worker is handed, from made-up spans and from a real clock."""

import subprocess
import time
from types import SimpleNamespace

import numpy as np
import pytest

from workbench import kinds
from workbench.batch import Batcher
from workbench.elf import Elf
from workbench.event_texts import STACK_STATUSES
from workbench.kinds import OBJECTS
from workbench.probe.btf import Btf
from workbench.probe.layout import event_layout
from workbench.probe.span import Span
from workbench.recorder.processes import ProcessTable
from workbench.recorder.source import PERF, RING, Setup
from workbench.recorder.spec import Target
from workbench.recorder.stack_source import StackSource
from workbench.recorder.tables import make_source
from workbench.recorder.targets import ACTIVE, filter_values


@pytest.fixture
def bare():
    """A source without an object, and a worker that keeps what it is handed."""
    with Elf.open(OBJECTS / "cpu.bpf.o") as elf:
        layout = event_layout(Btf.parse(elf.section_bytes(".BTF")), "cpu_event")
    source = object.__new__(StackSource)
    source.layout = layout
    source.schema = source._schema()
    source._batcher = Batcher(layout, source.schema, 1000)
    source.table = "cpu"
    source._ended = np.zeros((2, len(STACK_STATUSES)), np.int64)
    handed = []
    source._worker = SimpleNamespace(
        submit=handed.append, batches=lambda: ["done"], problems=lambda: ["odd name"]
    )
    source._leads = True
    return source, handed


def span_of(layout, stacks, padding):
    """A buffer with a record for each (kernel, user) words; the n-th has status n."""
    data, offsets, lengths = bytearray(), [], []
    for i, (kernel, user) in enumerate(stacks):
        head = np.zeros(1, layout.dtype)
        head["pid"], head["kernel_depth"], head["user_depth"] = i, len(kernel), len(user)
        head["stack_status"] = i
        record = head.tobytes() + np.array([*kernel, *user], np.uint64).tobytes()
        record += b"\xee" * 8 * padding
        offsets.append(len(data))
        lengths.append(len(record))
        data += record
    memory = np.frombuffer(bytes(data), np.uint8).copy()
    return Span(memory, np.array(offsets, np.int64), np.array(lengths, np.int64))


STACKS = [([1, 2], [3]), ([], [4, 5]), ([], []), ([6], [])]


@pytest.mark.parametrize("padding", [0, 1, 2], ids=["ring", "perf", "more"])
def test_addresses_without_what_pads_them(bare, padding):
    source, handed = bare
    span = span_of(source.layout, STACKS, padding)
    assert source._convert(span, span.records(source.layout.dtype)) == ["done"]
    (samples,) = handed
    assert samples.words.tolist() == [1, 2, 3, 4, 5, 6]
    assert samples.records["pid"].tolist() == [0, 1, 2, 3]
    span.data[:] = 0  # the ring goes on: what was handed over is a copy
    assert samples.words.tolist() == [1, 2, 3, 4, 5, 6]
    assert samples.records["kernel_depth"].tolist() == [2, 0, 0, 1]
    assert source._ended.tolist() == [
        [int(status < 4) for status in range(len(STACK_STATUSES))],
        [0] * len(STACK_STATUSES),
    ]


def test_samples_that_the_thread_did_not_finish_are_no_delivery(bare):
    source, _ = bare
    source.kind, source._reasons = "cpu", {0: "ring_full"}
    source._stats = np.zeros(2, [("produced", "u8"), ("dropped", "u8", 6)])
    source._stats["produced"] = (7, 5)
    source._stats["dropped"][0, 0] = 1
    source.delivered, source._added = np.array([6, 5]), np.zeros(2, int)
    source.buffer = None
    source._worker.unfinished = lambda _table: np.array([2, 0, 0])
    source._worker.finish = lambda: ["late"]
    assert source.finish(ProcessTable(0), 0) == ["done", "late"]
    source._ended[1, [0, 6]] = 3, 2
    first, second = source.losses(final=True)
    assert (first["stacks"], second["stacks"]) == ({}, {"complete": 3, "image_missing": 2})
    assert first["delivered"] == 4
    assert first["dropped"] == {"ring_full": 1, "unaccounted": 2}
    assert (second["delivered"], second["dropped"]) == (5, {})
    others, late = source.problems()
    assert others == "odd name"
    assert "2 samples were not written" in late
    source._leads = False
    source._worker.unfinished = lambda _table: np.zeros(3, int)
    assert source.problems() == []


def test_columns(bare):
    source, _ = bare
    assert source.schema.names == [
        "ts", "pid", "tid", "cpu", "stack_status", "stack_id", "weight"]  # fmt: skip
    span = span_of(source.layout, STACKS, 0)
    batch = source._make_batch(span.records(source.layout.dtype), np.arange(4, dtype=np.uint32))
    assert batch["stack_id"].to_pylist() == [0, 1, 2, 3]
    assert batch["weight"].to_pylist() == [1] * 4
    assert batch["stack_status"].to_pylist() == list(STACK_STATUSES[:4])
    assert batch["ts"].cast("int64").to_pylist() == [1000] * 4


@pytest.mark.kernel
@pytest.mark.parametrize("transport", [RING, PERF], ids=["ring", "perf"])
def test_samples_of_a_busy_process(transport):
    with subprocess.Popen(["sh", "-c", "while :; do :; done"]) as busy:
        values = filter_values(Target(pid=busy.pid))
        kind = kinds.find("cpu")
        setup = Setup(values, transport, 0)
        source = make_source(kind, setup, kind.check({"hz": 999}), "x86_64", 1 << 18)
        try:
            assert type(source) is StackSource
            source.object.maps["wb_targets"].update(busy.pid.to_bytes(4, "little"), ACTIVE)
            source.process_started(busy.pid)
            source.start()
            processes, batches = ProcessTable(0), []
            deadline = time.monotonic() + 10
            while source.produced < 100:
                assert time.monotonic() < deadline
                batches += source.batches(processes, 0)
                time.sleep(0.01)
            source.object.detach()
            source.process_ended(busy.pid)
            batches += source.finish(processes, 0)
        finally:
            source.close()
            busy.kill()
    samples = [batch for table, batch in batches if table == "cpu"]
    assert sum(b.num_rows for b in samples) == source_total(samples) >= 100
    known = {i for t, b in batches if t == "stacks" for i in b["stack_id"].to_pylist()}
    frames = {i for t, b in batches if t == "frames" for i in b["frame_id"].to_pylist()}
    named = {i for t, b in batches if t == "stacks" for x in b["frame_ids"].to_pylist() for i in x}
    assert {i for b in samples for i in b["stack_id"].to_pylist()} <= known
    assert named <= frames
    assert {p for b in samples for p in b["pid"].to_pylist()} == {busy.pid}


def source_total(samples):
    return sum(sum(batch["weight"].to_pylist()) for batch in samples)
