"""Objects: opened, set up, loaded and attached, or refused with the reason."""

import os
import subprocess
import sys

import numpy as np
import pytest
from compile_bpf import PROGRAM, bpf_descriptors, compile_bpf

from workbench.elf import Elf
from workbench.errors import (
    AttachError,
    LoadError,
    MapError,
    NotPermittedError,
    ObjectFormatError,
    ParameterError,
)
from workbench.probe import objects
from workbench.probe.objects import LOG_LINES, Object, tail

SETTINGS = """
typedef unsigned long long wb_count;
const volatile __u8 small = 3; const volatile __u32 number = 7; const volatile __s32 negative = 0;
const volatile __u64 wide[3] = {}; const volatile char text[8] = {}; const volatile double f = 0;
const volatile struct { int a; } composite = {};
struct stats { wb_count hits; };
struct stats stats[4]; int plain;
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 4); __type(key, __u32);
         __type(value, __u64); } seen SEC(".maps");
SEC("raw_tp/sys_enter") int hit(void *ctx)
{
    __u32 zero = 0, one = 1; __u64 *n = bpf_map_lookup_elem(&seen, &zero);
    if (n) *n = number + wide[2] + text[1] + small + negative;
    __sync_fetch_and_add(&stats[1].hits, 1); plain++;
    return composite.a;
}
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return compile_bpf(tmp_path_factory.mktemp("bpf"), SETTINGS)


@pytest.fixture
def loaded(path):
    with Object(path) as obj:
        yield obj


def test_what_an_object_holds(loaded):
    assert set(loaded.programs) == {"hit"}
    assert loaded.programs["hit"].section == "raw_tp/sys_enter"
    assert set(loaded.maps) == {"seen", ".rodata", ".bss"}
    assert {"small", "number", "negative", "wide", "text"} <= set(loaded.parameters)
    assert "composite" not in loaded.parameters
    assert loaded.programs["hit"].fd < 0
    assert not loaded.loaded


@pytest.mark.parametrize(
    ("name", "value", "raw"),
    [
        ("small", 255, b"\xff"),
        ("number", True, b"\1\0\0\0"),
        ("negative", -2, b"\xfe\xff\xff\xff"),
        ("wide", [1, 2], b"\1" + b"\0" * 7 + b"\2" + b"\0" * 15),
        ("wide", np.array([2**64 - 1], np.uint64), b"\xff" * 8 + b"\0" * 16),
        ("text", b"dd", b"dd\0\0\0\0\0\0"),
        ("text", "ö".encode(), b"\xc3\xb6\0\0\0\0\0\0"),
        ("text", b"", b"\0" * 8),
    ],
)
def test_parameters_become_the_bytes_that_c_reads(loaded, name, value, raw):
    loaded.set(name, value)
    offset, dtype = loaded.parameters[name]
    assert loaded.maps[".rodata"].initial()[offset : offset + dtype.itemsize].tobytes() == raw


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("small", 256),
        ("small", -1),
        ("number", 1 << 32),
        ("number", -1),
        ("number", 1.5),
        ("number", float("nan")),
        ("number", "7"),
        ("number", "many"),
        ("number", None),
        ("number", [1, 2]),
        ("negative", 1 << 31),
        ("wide", [1, 2, 3, 4]),
        ("wide", 5),
        ("wide", [-1]),
        ("wide", [1 << 64]),
        ("wide", np.array([-1])),
        ("wide", np.array([0.5])),
        ("text", b"123456789"),
        ("text", np.array([300])),
        ("text", None),
    ],
)
def test_values_that_do_not_fit(loaded, name, value):
    before = loaded.maps[".rodata"].initial().copy()
    with pytest.raises(ParameterError, match=f"{name} cannot be") as caught:
        loaded.set(name, value)
    assert caught.value.why
    assert (loaded.maps[".rodata"].initial() == before).all()


@pytest.mark.parametrize("name", ["nothing", "composite", "plain", ""])
def test_parameters_that_are_not_there(loaded, name):
    with pytest.raises(ParameterError, match="cannot be set") as caught:
        loaded.set(name, 1)
    assert "number" in caught.value.why


def test_maps_have_an_initial_content_only_if_global(loaded):
    with pytest.raises(MapError, match="no initial content"):
        loaded.maps["seen"].initial()
    with pytest.raises(MapError, match="no global variable nothing"):
        loaded.global_array("nothing")
    with pytest.raises(ObjectFormatError, match="no struct nothing"):
        loaded.layout("nothing")


@pytest.mark.kernel
def test_load_attach_detach_close(path):
    with Object(path) as obj:
        obj.set("number", 1000)
        obj.set("wide", [0, 0, 200])
        obj.set("text", b"\0\x05")
        obj.set("small", 1)
        obj.load()
        assert obj.loaded
        with pytest.raises(ParameterError, match="cannot be set") as caught:
            obj.set("number", 1)
        assert "loaded" in caught.value.why
        hits = obj.global_array("stats")["hits"]
        assert hits.tolist() == [0, 0, 0, 0]
        link = obj.attach(obj.programs["hit"])
        os.getppid()
        assert hits[1] > 0
        assert obj.maps["seen"].lookup(b"\0" * 4) == (1206).to_bytes(8, "little")
        link.close()
        link.close()
        obj.detach()
        stopped = int(hits[1])
        os.getppid()
        assert hits[1] == stopped  # shared memory, still readable
    obj.close()
    del hits  # the last that holds the map
    assert bpf_descriptors() == []


@pytest.mark.kernel
@pytest.mark.parametrize("threads", [0, 1, 32])
def test_several_are_detached_at_once(path, monkeypatch, threads):
    monkeypatch.setattr(objects, "DETACHED_AT_ONCE", threads)
    with Object(path) as one, Object(path) as two:
        hits = []
        for obj in (one, two):
            obj.load()
            hits.append(obj.global_array("stats")["hits"])
            for _ in range(3):
                obj.attach(obj.programs["hit"])
        os.getppid()
        assert all(each[1] > 0 for each in hits)
        objects.detach_all([one, two])
        stopped = [int(each[1]) for each in hits]
        os.getppid()
        assert [int(each[1]) for each in hits] == stopped
        assert one.give_links() == two.give_links() == []


@pytest.mark.kernel
def test_programs_can_be_left_out(tmp_path):
    bad = 'SEC("tp_btf/no_such_thing") int bad(void *ctx) { return 0; }\n'
    with Object(compile_bpf(tmp_path, PROGRAM + bad)) as obj:
        obj.programs["bad"].leave_out()
        obj.load()
        assert obj.programs["bad"].fd < 0 <= obj.programs["program"].fd


@pytest.mark.kernel
def test_optional_programs_are_loaded_when_they_are_taken(tmp_path):
    body = PROGRAM + 'SEC("?socket") int other(void *ctx) { return 0; }\n'
    for take in (False, True):
        with Object(compile_bpf(tmp_path, body)) as obj:
            assert [p.optional for p in obj.programs.values()] == [False, True]
            assert obj.programs["other"].section == "socket"
            if take:
                obj.programs["other"].take()
            obj.load()
            assert obj.programs["program"].fd >= 0
            assert (obj.programs["other"].fd >= 0) == take


def test_the_verifiers_last_words(tmp_path):
    body = """SEC("tp_btf/sched_switch") int bad(void *ctx)
    { volatile int n = 0; for (int i = 0; i < 30; i++) n += i; return *(volatile int *)0; }\n"""
    with Object(compile_bpf(tmp_path, body)) as obj, pytest.raises(LoadError) as caught:
        obj.load()
    error = caught.value
    assert error.why.startswith("EACCES (Permission denied)")
    assert "invalid mem access" in error.why
    assert len(error.why.splitlines()) <= LOG_LINES + 1
    assert "invalid mem access" in error.log
    assert len(error.log) > len(error.why)
    assert "processed " in error.log
    assert not obj.loaded


@pytest.mark.kernel
def test_a_target_that_the_kernel_lacks(tmp_path):
    body = 'SEC("tp_btf/no_such_thing") int bad(void *ctx) { return 0; }\n'
    with (
        Object(compile_bpf(tmp_path, body)) as obj,
        pytest.raises(LoadError, match="no_such_thing") as caught,
    ):
        obj.load()
    assert "ESRCH" in caught.value.why


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("section", "number"), [("tracepoint/no/such", "ENOENT"), ("socket", "ENOTSUP")]
)
def test_a_place_to_attach_that_is_not_there(tmp_path, section, number):
    body = f'SEC("{section}") int bad(void *ctx) {{ return 0; }}\n'
    with Object(compile_bpf(tmp_path, body)) as obj:
        obj.load()
        with pytest.raises(AttachError, match=section) as caught:
            obj.attach(obj.programs["bad"])
        assert number in caught.value.why
        with pytest.raises(AttachError):
            obj.attach_perf_event(obj.programs["bad"], -1)


@pytest.mark.parametrize("at", [0, 2, 24 + 7])
def test_damaged_btf_is_an_error_and_no_crash(tmp_path, at):
    """libbpf opens an object without maps whose BTF it cannot read: its BTF is then NULL."""
    path = compile_bpf(tmp_path, PROGRAM)
    with Elf.open(path) as elf:
        offset = elf.sections[".BTF"].offset
    data = bytearray(path.read_bytes())
    data[offset + at] ^= 0x1F
    path.write_bytes(data)
    code = "import sys; from workbench.probe.objects import Object; Object(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert "ObjectFormatError" in done.stderr
    with pytest.raises(ObjectFormatError):
        Object(path)


def test_what_libbpf_cannot_open_is_told_in_its_words(tmp_path):
    body = 'struct { int not_a_map; } broken SEC(".maps");\n' + PROGRAM
    with pytest.raises(ObjectFormatError, match="cannot be opened") as caught:
        Object(compile_bpf(tmp_path, body))
    assert "broken" in caught.value.why


@pytest.mark.kernel
def test_without_the_right_to_load(tmp_path):
    path = compile_bpf(tmp_path, PROGRAM)
    code = (
        "import ctypes, os, sys\n"
        "for cap in (21, 38, 39): ctypes.CDLL(None).prctl(24, cap, 0, 0, 0)\n"  # PR_CAPBSET_DROP
        "os.execv(sys.executable, [sys.executable, '-c', sys.argv[2], sys.argv[1]])"
    )
    load = (
        "import sys; from workbench.probe.objects import Object\n"
        "with Object(sys.argv[1]) as o: o.load()"
    )
    done = subprocess.run([sys.executable, "-c", code, path, load], capture_output=True, text=True)
    assert "NotPermittedError" in done.stderr
    assert "CAP_BPF" in done.stderr


def test_tail_is_the_end_without_the_summary():
    log = ["\n".join(f"line {i}" for i in range(50)), "\nprocessed 3 insns\n", "\n"]
    assert tail(log).splitlines() == [f"line {i}" for i in range(38, 50)]
    cut = ["a\n-- END PROG LOAD LOG --\nlibbpf: failed\n"]
    assert "a" in tail(cut)
    assert tail([]) == ""


THREADS = """
struct task_struct { int pid; } __attribute__((preserve_access_index));
struct bpf_iter_meta { struct seq_file *seq; } __attribute__((preserve_access_index));
struct bpf_iter__task { struct bpf_iter_meta *meta; struct task_struct *task; }
    __attribute__((preserve_access_index));
SEC("iter/task") int threads(struct bpf_iter__task *ctx)
{
    struct task_struct *task = ctx->task;
    int pid;
    if (!task) return 0;
    pid = task->pid;
    return bpf_seq_write(ctx->meta->seq, &pid, sizeof(pid)) ? 1 : 0;
}
"""


@pytest.mark.kernel
def test_an_iterator_is_run_to_its_end_and_detached(tmp_path):
    with Object(compile_bpf(tmp_path, THREADS)) as opened:
        opened.load()
        before = bpf_descriptors()
        for _ in range(2):
            found = np.frombuffer(opened.programs["threads"].run_iterator(), np.int32)
            assert os.getpid() in found
            assert 1 < len(found) == len(set(found))
        assert bpf_descriptors() == before


@pytest.mark.kernel
def test_only_iterators_can_be_run(loaded):
    with pytest.raises((AttachError, NotPermittedError)):
        loaded.programs["hit"].run_iterator()
