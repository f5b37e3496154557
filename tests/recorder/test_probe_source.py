"""Sources of own probes: what is loaded, and the layout of the records."""

import numpy as np
import pytest
from compile_bpf import bpf_descriptors
from planning import planned as plan_of

from workbench.errors import AttachError
from workbench.kinds import OBJECTS, own_probe
from workbench.probe.layout import Field, Layout
from workbench.recorder import targets
from workbench.recorder.probe_source import HEAD_BYTES, OwnProbe, event_layout, planned
from workbench.recorder.probe_sources import source_for
from workbench.recorder.source import PERF, RING, KindSetup, Setup
from workbench.recorder.spec import Target

HEAD = Layout(
    "probe_event",
    np.dtype({"names": ["ts", "cpu", "pad_missing"], "formats": ["<u8", "<u2", "<u4"],
              "offsets": [0, 16, 20], "itemsize": HEAD_BYTES}),
    (Field("ts", "wb_time_ns", "ns", "time", np.dtype("<u8")),),
)  # fmt: skip


def given(point, **more):
    return own_probe("mine").check({"probe": point, **more})


def opened(point, transport=RING, target=None, **more):
    target = target or Target(pid=1)
    setup = Setup(targets.filter_values(target), transport, 0, target=target)
    return source_for(KindSetup(own_probe("mine"), setup, given(point, **more), {}, 1 << 16))


def test_layout_of_events():
    made = plan_of(fields=["a", "b", "str(path, 5)"])
    found = event_layout(HEAD, made, stacks=False)
    places = {name: found.dtype.fields[name][1] for name in ("ts", "cpu", "a", "b", "path")}
    assert places == {"ts": 0, "cpu": 16, "b": 24, "a": 32, "path": 33}
    assert found.dtype.itemsize == HEAD_BYTES + made.sent_bytes == 40
    assert found.tail is None
    stacked = event_layout(HEAD, made, stacks=True)
    assert stacked.dtype.fields["kernel_depth"][1] == 40
    assert stacked.dtype.itemsize == 48
    assert stacked.tail[0] == "words"


@pytest.mark.kernel
@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("transport", [RING, PERF])
@pytest.mark.parametrize(
    ("point", "more", "programs"),
    [
        ("tracepoint:sched:sched_switch", {}, {"on_tracepoint"}),
        ("rawtp:sched_switch", {"fields": ["task.comm"]}, {"on_raw_tracepoint"}),
        ("perf:cpu-clock:10", {"stacks": True}, {"on_event"}),
        ("uprobe:libc:malloc", {"fields": ["arg0"], "latency": True}, {"on_entry", "on_return"}),
        ("uretprobe:libc:malloc", {"by": "pid"}, {"on_return"}),
    ],
)
def test_only_what_is_needed_is_loaded(transport, point, more, programs):
    before = len(bpf_descriptors())
    source = opened(point, transport, **more)
    try:
        loaded = {name for name, program in source.object.programs.items() if program.fd >= 0}
        assert loaded == programs
        source.start() if not more.get("stacks") else source.attach()
        assert source.problems() == []
        source.object.detach()
    finally:
        source.close()
    assert len(bpf_descriptors()) == before


@pytest.mark.kernel
@pytest.mark.usefixtures("nothing_left")
def test_a_probe_that_cannot_be_attached_again_stays_off(monkeypatch):
    source = opened("uprobe:libc:malloc", latency=True)
    try:
        source.attach()
        calls = source.object.maps["calls"]
        source.switch(on=False)
        calls.update(bytes(calls.key_size), bytes(calls.value_size))
        with monkeypatch.context() as patch:
            patch.setattr(source, "_attach", fails_at_the_return(source._attach))
            with pytest.raises(AttachError):
                source.switch(on=True)
        assert source.object._links == []
        source.switch(on=True)
        assert len(source.object._links) == 2
        source.switch(on=False)
        (problem,) = source.problems()
        assert "mine: 1 calls had not returned when it was switched off, or at" in problem
    finally:
        source.close()


def fails_at_the_return(attach):
    def attached(program, returns):
        if returns:
            raise AttachError("It has gone.")
        attach(program, returns)

    return attached


@pytest.mark.kernel
def test_the_head_is_that_of_the_object():
    source = opened("rawtp:sched_switch", fields=["pid"])
    try:
        head = source.object.layout("probe_event")
        assert head.dtype.itemsize == HEAD_BYTES
        assert {"ts", "pid", "tid", "cpu", "pad_missing"} <= set(head.dtype.names)
        assert source.table == "mine"
        assert isinstance(source, OwnProbe)
    finally:
        source.close()
    assert (OBJECTS / "probe.bpf.o").is_file()


@pytest.mark.kernel
@pytest.mark.usefixtures("nothing_left")
def test_the_largest_probe_is_loaded():
    fields = [f"x{i}=u32p(u64p(u64p(arg0)[{i}])[1])[2]" for i in range(28)]
    filters = " and ".join(f"x{i} != {i}" for i in range(8))
    filters = filters.replace("x", "u8p(arg1)[").replace(" !=", "] !=")
    source = opened("uprobe:libc:malloc", fields=[*fields[:20], "str(arg2, 64)"], filter=filters)
    source.close()


@pytest.mark.kernel
def test_places_that_do_not_exist():
    with pytest.raises(AttachError):
        planned(given("uprobe:/no/such/file:f"))
    with pytest.raises(AttachError):
        opened("fentry:no_such_function")
