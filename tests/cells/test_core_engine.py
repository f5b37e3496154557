"""CO-RE cells: compiled, their maps typed."""

import pytest
from compile_bpf import bpf_descriptors

from workbench.cells import core_engine
from workbench.cells.core_engine import CoreEngine, compiled, vmlinux
from workbench.cells.engine import Source
from workbench.errors import AttachError, LoadError, ObjectFormatError, UnsupportedKernelError
from workbench.probe.bcc import tree

TEXT = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct event { __u64 ts; };
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); } events SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); } idle SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_QUEUE); __uint(max_entries, SIZE); __type(value, struct event); }
    queue SEC(".maps");
int global;
SEC("perf_event") int sample(void *ctx)
{
    struct event e = {.ts = global};
    bpf_ringbuf_output(&events, &e, sizeof(e), 0);
    return 0;
}
"""
RATE = {"sample": ["perf:cpu-clock:9"]}


@pytest.mark.kernel
@pytest.mark.usefixtures("nothing_left")
def test_maps_and_buffers():
    engine = CoreEngine(Source(TEXT, RATE, defines={"SIZE": 5}))
    assert list(engine.tables) == ["queue"]
    assert engine.tables["queue"].raw.max_entries == 5
    assert engine.tables["queue"].value.names == ["ts"]
    assert engine.outlets["events"].event.name == "event"
    assert engine.outlets["idle"].event is None
    assert engine.losses("events") == engine.losses("idle") == (0, 0)
    engine.attach()
    engine.detach()
    engine.close()
    assert engine.losses("events") is None
    assert bpf_descriptors() == []


@pytest.mark.kernel
def test_runs_that_the_kernel_left_out(monkeypatch):
    engine = CoreEngine(Source(TEXT, RATE, defines={"SIZE": 5}))
    assert engine.missed() == {}
    monkeypatch.setattr(core_engine, "missed_runs", lambda fd: 4 if fd >= 0 else 0)
    assert set(engine.missed().values()) == {4}
    engine.close()


@pytest.mark.kernel
def test_events_of_a_type_that_is_named():
    named = Source(TEXT, RATE, defines={"SIZE": 5}, events={"idle": "struct event"})
    engine = CoreEngine(named)
    assert engine.outlets["idle"].event.name == "event"
    engine.close()
    with pytest.raises(ObjectFormatError, match="no type nothing"):
        CoreEngine(Source(TEXT, RATE, defines={"SIZE": 5}, events={"idle": "struct nothing"}))
    assert bpf_descriptors() == []


def test_rates():
    assert core_engine._perf_place("perf:page-faults:100") == ("page-faults", 100)
    for wrong in ("perf:cpu-clock", "perf:cpu-clock:0", "perf:made-up:1", "uprobe:c:malloc"):
        with pytest.raises(AttachError, match="no place for a CO-RE program"):
            core_engine._perf_place(wrong)


def test_programs_without_rates_or_with_others():
    with pytest.raises(AttachError, match="no event and rate"):
        CoreEngine(Source(TEXT, defines={"SIZE": 1}))
    with pytest.raises(AttachError, match="no program other"):
        CoreEngine(Source(TEXT, {"other": ["perf:cpu-clock:9"]}, defines={"SIZE": 1}))


def test_what_does_not_compile(tmp_path, monkeypatch):
    with pytest.raises(LoadError, match="does not compile") as caught:
        compiled(Source("int x;\nint y = z;\n"), tmp_path)
    assert caught.value.why.startswith("line 2: error: use of undeclared identifier 'z'")
    with pytest.raises(LoadError, match="no BPF object"):
        CoreEngine(Source("int x;", cflags=["-g0"]))

    def missing(*_, **__):
        raise FileNotFoundError("clang")

    monkeypatch.setattr(core_engine.subprocess, "run", missing)
    with pytest.raises(UnsupportedKernelError) as caught:
        compiled(Source("int x;"), tmp_path)
    assert "apt-get install clang" in caught.value.advice


def test_the_kernels_types_are_kept(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(core_engine, "dumped", lambda path: calls.append(path) or "struct x;")
    source = tmp_path / "btf"
    source.write_bytes(b"one")
    place = vmlinux(tmp_path / "kept", source)
    assert (place / "vmlinux.h").read_text() == "struct x;"
    assert vmlinux(tmp_path / "kept", source) == place
    source.write_bytes(b"two")
    assert vmlinux(tmp_path / "kept", source) != place
    assert len(calls) == 2
    with pytest.raises(UnsupportedKernelError, match="no BTF"):
        vmlinux(tmp_path, tmp_path / "none")
    assert tree.BTF.name == "vmlinux"
