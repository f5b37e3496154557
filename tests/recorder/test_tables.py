"""Tables filled from the kernel: events as they are, counts as snapshots."""

import os
import time

import numpy as np
import pyarrow as pa
import pytest
from compile_bpf import bpf_descriptors

from workbench import kinds
from workbench.errors import UnsupportedKernelError
from workbench.probe.objects import Object
from workbench.recorder import tables as module
from workbench.recorder.clock import boot_to_utc
from workbench.recorder.processes import ProcessTable
from workbench.recorder.source import RING, Setup
from workbench.recorder.spec import Target
from workbench.recorder.tables import AggregateSource, EventSource, make_source
from workbench.recorder.targets import ACTIVE, filter_values

pytestmark = pytest.mark.kernel
MACHINE = os.uname().machine
GETPPID = 110 if MACHINE == "x86_64" else 173


@pytest.fixture
def start():
    made = []

    def start(ring_bytes=0, **parameters):
        kind = kinds.find("syscalls")
        values = filter_values(Target(pid=os.getpid())) | {"wb_self": 0}
        checked = kind.check({"syscalls": "getppid"} | parameters)
        source = make_source(kind, Setup(values, RING, boot_to_utc()), checked, MACHINE, ring_bytes)
        made.append(source)
        source.object.maps["wb_targets"].update(os.getpid().to_bytes(4, "little"), ACTIVE)
        source.start()
        return source

    yield start
    for source in made:
        source.close()
    assert bpf_descriptors() == []


def call(count):
    for _ in range(count):
        os.getppid()


def test_events(start, monkeypatch):
    monkeypatch.setattr(module, "MAX_ROWS", 100)
    source, processes = start(1 << 18), ProcessTable(0)
    assert type(source) is EventSource
    call(250)
    source.object.detach()
    batches = source.batches(processes, 5)
    assert {table for table, _ in batches} == {"syscalls"}
    assert max(batch.num_rows for _, batch in batches) <= 100
    rows = pa.Table.from_batches([batch for _, batch in batches])
    assert rows.num_rows == source.produced >= 250
    assert rows.schema == source.schema
    assert set(rows["nr"].to_pylist()) == {GETPPID}
    assert set(rows["pid"].to_pylist()) == {os.getpid()}
    assert os.getppid() in rows["ret"].to_pylist()
    seen = processes.take().to_pylist()
    assert os.getpid() in {row["tid"] for row in seen}
    assert source.finish(processes, 6) == []
    source.process_started(1)  # of no interest to it
    source.process_ended(1)


def test_times_are_utc(start):
    source = start(1 << 16)
    before = time.time_ns()
    call(3)
    after = time.time_ns()
    source.object.detach()
    (_, batch), *_ = source.batches(ProcessTable(0), 0)
    times = batch["ts"].cast(pa.int64()).to_numpy()
    assert before - 10**6 <= times.min() <= times.max() <= after + 10**6
    assert (np.diff(times) > 0).all()


def test_counts(start):
    source, processes = start(aggregate=True), ProcessTable(0)
    assert type(source) is AggregateSource
    assert source.buffer is None
    call(100)
    ((table, batch),) = source.batches(processes, 10**18)
    assert table == "syscalls_agg"
    (row,) = batch.to_pylist()
    assert (row["pid"], row["nr"], row["ts"].value) == (os.getpid(), GETPPID, 10**18)
    assert row["calls"] == sum(row["latency_hist"]) >= 100
    assert row["errors"] == 0
    assert row["latency_sum"].value > 0
    assert processes.take().num_rows >= 1
    assert source.batches(processes, 10**18 + 10**8) == []  # a snapshot a second is enough
    call(50)
    source.object.detach()
    ((_, last),) = source.finish(processes, 10**18 + 2 * 10**8)
    assert last["calls"].to_pylist() == [source.produced]
    losses = source.losses(final=True)
    assert sum(each["produced"] for each in losses) == source.produced
    assert sum(each["delivered"] for each in losses) == source.produced
    assert all(not each["dropped"] for each in losses)


def test_counts_of_nothing(start):
    source = start(aggregate=True)
    source.object.maps["wb_targets"].delete(os.getpid().to_bytes(4, "little"))
    source.object.detach()
    for key in source.object.maps["aggregates"].items()[0]:
        source.object.maps["aggregates"].delete(key.tobytes())
    assert source.finish(ProcessTable(0), 1) == []
    assert source.snapshot(1).num_rows == 0


def test_counts_that_went_missing_are_no_deliveries(start):
    """A row that was deleted behind the program's back: produced, but nowhere to be read."""
    source = start(aggregate=True)
    call(20)
    source.object.detach()
    (key,) = source.object.maps["aggregates"].items()[0]
    source.object.maps["aggregates"].delete(key.tobytes())
    losses = source.losses(final=True)
    missing = sum(row["dropped"].get("unaccounted", 0) for row in losses)
    assert missing == source.produced >= 20
    for row in losses:
        assert row["produced"] == row["delivered"] + sum(row["dropped"].values())
        assert row["delivered"] >= 0


@pytest.mark.parametrize(("arguments", "why"), [(2, "2 arguments, not 1"), (0, "no tracepoint")])
def test_kernels_whose_tracepoints_are_others(monkeypatch, arguments, why):
    monkeypatch.setattr(module, "argument_count", lambda _: arguments)
    with pytest.raises(UnsupportedKernelError, match="kind block cannot be captured") as caught:
        module.check_arguments(kinds.find("block"))
    assert why in caught.value.why
    module.check_arguments(kinds.find("cpu"))


@pytest.mark.parametrize(
    ("name", "parameters", "lacking", "left_out"),
    [
        ("exec", {"failed": False}, "", {"exec_failed"}),
        ("locks", {"kernel": False}, "", {"contention_begin", "contention_end"}),
        ("locks", {}, "contention_begin", {"contention_begin"}),
        ("irq", {"aggregate": True}, "reschedule_exit", {"reschedule_exit"}),
        ("irq", {}, "softirq_exit", set()),  # every kernel has that one: its lack is an error
    ],
)
def test_programs_that_are_left_out(monkeypatch, name, parameters, lacking, left_out):
    known = module.argument_count
    monkeypatch.setattr(module, "argument_count", lambda it: 0 if it == lacking else known(it))
    kind = kinds.find(name)
    whole = Object(kind.path)
    programs = set(whole.programs)
    whole.close()
    setup = Setup(filter_values(Target(pid=os.getpid())), RING, boot_to_utc())
    source = make_source(kind, setup, kind.check(parameters), MACHINE, 4096)
    try:
        source.start()
        assert programs - set(source.object.programs) == left_out
    finally:
        source.close()
