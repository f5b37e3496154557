"""Sources on a real kernel: loaded, drained, accounted for; and closed whatever happens."""

import os
import time

import numpy as np
import pytest
from compile_bpf import bpf_descriptors, compile_bpf

from workbench import kinds
from workbench.errors import ObjectFormatError
from workbench.probe.perf_event import online_cpus
from workbench.recorder import source as module
from workbench.recorder.source import PERF, RING, Setup, Source
from workbench.recorder.spec import Target
from workbench.recorder.targets import ACTIVE, SHARED, filter_values

TREE = filter_values(Target(pid=os.getpid())) | {"wb_self": 0}
GETPPID = 110 if os.uname().machine == "x86_64" else 173


def settings(*names):
    kind = kinds.find("syscalls")
    return kind.settings(kind.check({"syscalls": names}), os.uname().machine)


def opened(transport=RING, size=1 << 16, **options):
    return Source("syscalls", Setup(TREE, transport, 0), settings("getppid"), size, **options)


def call(count):
    for _ in range(count):
        os.getppid()


@pytest.fixture
def source(request):
    made = opened(getattr(request, "param", RING))
    made.object.maps["wb_targets"].update(os.getpid().to_bytes(4, "little"), ACTIVE)
    yield made
    made.close()
    made.close()
    assert bpf_descriptors() == []


@pytest.mark.kernel
@pytest.mark.parametrize("source", [RING, PERF], indirect=True, ids=["ring", "perf"])
def test_every_call_is_drained_once(source):
    source.attach()
    call(300)
    source.object.detach()
    nrs = np.concatenate([records["nr"].copy() for _, records in source.drain()])
    assert nrs.tolist() == [GETPPID] * len(nrs)
    assert len(nrs) == source.produced >= 300
    assert (source.dropped, source.waiting) == (0, 0)
    rows = source.losses(final=True)
    assert sum(row["delivered"] for row in rows) == len(nrs)
    assert all(row["kind"] == "syscalls" and row["dropped"] == {} for row in rows)
    assert list(source.drain()) == []


@pytest.mark.kernel
@pytest.mark.parametrize("transport", [RING, PERF], ids=["ring", "perf"])
def test_what_does_not_fit_is_counted_by_reason(transport):
    source = opened(transport, 4096)
    try:
        source.object.maps["wb_targets"].update(os.getpid().to_bytes(4, "little"), ACTIVE)
        source.attach()
        call(1000)
        source.object.detach()
        got = sum(len(records) for _, records in source.drain())
        assert 0 < got < 1000 <= source.produced
        assert source.dropped == source.produced - got
        for row in source.losses(final=True):
            assert row["produced"] == row["delivered"] + row["dropped"].get("ring_full", 0)
    finally:
        source.close()


@pytest.mark.kernel
def test_what_waits_is_unaccounted_only_at_the_end(source):
    source.attach()
    call(10)
    source.object.detach()
    assert source.waiting == source.produced >= 10
    assert all("unaccounted" not in row["dropped"] for row in source.losses())
    last = source.losses(final=True)
    assert sum(row["dropped"]["unaccounted"] for row in last) == source.produced


@pytest.mark.kernel
def test_strangers_are_not_seen(source):
    source.object.maps["wb_targets"].delete(os.getpid().to_bytes(4, "little"))
    source.attach()
    call(50)
    assert source.produced == 0
    assert source.losses() == []


@pytest.mark.kernel
def test_what_is_remembered_of_a_target_lasts_until_targets_change():
    stacks = {"kernel_stacks": 0, "user_stacks": 0}
    source = Source("cpu", Setup(TREE, RING, 0), stacks, 1 << 16)
    maps, me = source.object.maps, os.getpid().to_bytes(4, "little")
    source.attach(999)

    def samples():
        before, end = source.produced, time.process_time() + 0.05
        while time.process_time() < end:
            pass
        return source.produced - before

    assert samples() == 0
    maps["wb_targets"].update(me, ACTIVE)
    maps["wb_epoch"].update(b"\0" * 4, b"\1\0\0\0")
    assert samples() > 20
    maps["wb_targets"].delete(me)
    maps["wb_epoch"].update(b"\0" * 4, b"\2\0\0\0")
    assert samples() == 0
    source.close()


@pytest.mark.kernel
def test_an_object_without_events_has_no_buffer():
    source = opened(size=0)
    assert source.buffer is None
    assert list(source.drain()) == []
    source.close()


@pytest.mark.kernel
def test_maps_are_shared():
    first = opened()
    shared = {name: first.object.maps[name] for name in SHARED}
    second = Source("process", Setup(TREE, RING, 0, shared), {}, 4096, watermark=1)
    shared["wb_targets"].update((7).to_bytes(4, "little"), ACTIVE)
    assert second.object.maps["wb_targets"].lookup((7).to_bytes(4, "little")) == ACTIVE
    second.close()
    first.close()
    assert bpf_descriptors() == []


@pytest.mark.kernel
def test_a_clock_on_every_cpu():
    source = Source("cpu", Setup(TREE, RING, 0), {"kernel_stacks": 1, "user_stacks": 1}, 1 << 20)
    source.attach(499)
    clocks = [link for link in bpf_descriptors() if "perf_event" in link]
    assert len(clocks) == len(online_cpus())
    source.close()
    assert bpf_descriptors() == []


@pytest.mark.kernel
@pytest.mark.parametrize("step", ["_set_up", "_open_buffer"])
def test_a_failure_on_the_way_leaves_nothing(monkeypatch, step):
    def fail(*_arguments):
        raise RuntimeError(step)

    monkeypatch.setattr(Source, step, fail)
    with pytest.raises(RuntimeError, match=step):
        opened()
    assert bpf_descriptors() == []


@pytest.mark.parametrize("cpus", [[], [3, 3, 3], [0, 2, 2, 3]])
def test_events_are_counted_by_cpu(cpus):
    source = object.__new__(Source)
    source.delivered = np.zeros(4, np.int64)
    source._count_by_cpu(np.array(cpus, np.uint16))
    assert source.delivered.tolist() == [cpus.count(cpu) for cpu in range(4)]


def test_events_that_the_recorder_adds_are_produced_and_delivered():
    source = object.__new__(Source)
    source.kind, source._reasons = "some", {0: "ring_full"}
    source._stats = np.zeros(3, [("produced", "u8"), ("dropped", "u8", 6)])
    source._stats["produced"], source._stats["dropped"][0, 0] = (5, 0, 0), 1
    source.delivered, source._added = np.array([4, 0, 0]), np.zeros(3, np.int64)
    source.add(np.array([0, 2, 2], np.uint16))
    assert source.losses(final=True) == [
        {"kind": "some", "cpu": 0, "produced": 6, "delivered": 5, "dropped": {"ring_full": 1}},
        {"kind": "some", "cpu": 2, "produced": 2, "delivered": 2, "dropped": {}},
    ]
    assert source.waiting == 0


def test_an_object_that_is_not_there(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "OBJECTS", tmp_path)
    with pytest.raises(ObjectFormatError, match="make bpf"):
        opened()


@pytest.mark.parametrize(("cpus", "rings"), [(1, 1), (2, 2), (3, 2), (8, 8), (96, 64), (1024, 64)])
def test_rings_are_a_power_of_two(cpus, rings):
    assert module.ring_count(cpus) == rings


OPTIONAL = """
#include "workbench.bpf.h"
char LICENSE[] SEC("license") = "GPL";
struct some_event { wb_time_ns ts; wb_cpu cpu; };
WB_EVENT(some_event);
const volatile __u32 has_sched_switch = 0, has_no_such_place = 0;
SEC("?tp_btf/sched_switch") int there(void *ctx) { return has_sched_switch; }
SEC("?tp_btf/no_such_place") int missing(void *ctx) { return has_no_such_place; }
SEC("tp_btf/sched_wakeup") int always(void *ctx) { return 0; }
"""


def test_programs_of_tracepoints_that_the_kernel_lacks_are_left_out(tmp_path):
    path = compile_bpf(tmp_path, OPTIONAL, head=" ")
    source = Source("some", Setup(TREE, RING, 0), {}, 0, path=path)
    try:
        assert set(source.object.programs) == {"there", "always"}
        source.attach()
        flags = source.object.maps[".rodata"].memory()
        offsets = source.object.parameters
        assert flags[offsets["has_sched_switch"][0]] == 1
        assert flags[offsets["has_no_such_place"][0]] == 0
    finally:
        source.close()
