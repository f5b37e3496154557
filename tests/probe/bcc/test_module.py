"""Programs compiled by BCC: tables and events with their types, errors with their lines."""

import errno
import os

import pytest
from compile_bpf import bpf_descriptors

from workbench.errors import LoadError, MapError, NotPermittedError, ObjectFormatError
from workbench.probe.bcc import finder, module
from workbench.probe.bcc.attach import KPROBE, RAW_TRACEPOINT
from workbench.probe.bcc.compiler import Compiler
from workbench.probe.bcc.module import Module
from workbench.probe.column_type import Array, Scalar, Text

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.usefixtures("nothing_left"),
    pytest.mark.skipif(
        finder.distribution_folder() is None, reason="python3-bpfcc is not installed"
    ),
]
PROGRAM = """
#include <linux/sched.h>
struct inner { u8 a; u32 b : 3, c : 5; char s[5]; };
struct event { u64 ts; u32 pid; struct inner in; union { u32 v4; u64 v6; } to; char comm[16]; };
struct other { u64 ts; u32 pid; };
struct prefix { u32 length; u8 address[4]; };
struct key { u32 pid; char comm[16]; };
#ifdef NEVER
struct hidden { int x; };
#endif
BPF_HASH(counts, struct key, u64);
BPF_ARRAY(array, s32, 4);
BPF_PERCPU_ARRAY(percpu, u64, 2);
BPF_HISTOGRAM(sizes);
BPF_STACK_TRACE(stacks, 64);
BPF_QUEUE(queue, struct other, 8);
BPF_LPM_TRIE(prefixes, struct prefix, u32, 16);
BPF_PERF_OUTPUT(events);
BPF_RINGBUF_OUTPUT(others, 8);
RAW_TRACEPOINT_PROBE(sys_enter)
{
    struct event e = {};
    events.perf_submit(ctx, &e, sizeof(e));
    struct other *o = others.ringbuf_reserve(sizeof(*o));
    if (o)
        others.ringbuf_submit(o, 0);
    return 0;
}
"""


def test_tables_buffers_and_their_types():
    with Module(PROGRAM.replace("#ifdef NEVER", "#if 1")) as made:
        assert made.functions == ["raw_tracepoint__sys_enter"]
        assert list(made.tables) == [
            *("counts", "array", "percpu", "sizes", "stacks", "queue", "prefixes")
        ]
        counts = made.tables["counts"]
        assert counts.key.names == ["pid", "comm"]
        assert counts.key.members[1].type == Text(16)
        counts[{"pid": 7, "comm": "x"}] = 9
        assert counts.polars().rows() == [(7, "x", 9)]
        assert isinstance(made.tables["array"].value, Scalar)
        assert made.tables["array"].value.dtype == "i4"
        assert isinstance(made.tables["stacks"].value, Array)
        assert made.tables["queue"].value.names == ["ts", "pid"]
        assert made.buffers["events"].event.name == "event"
        assert made.buffers["others"].event.name == "other"
        assert made.buffers["others"].is_ring
        assert not made.buffers["events"].is_ring
        assert made.losses("events") == made.losses("others") == (0, 0)
        assert made.load(made.functions[0], RAW_TRACEPOINT) >= 0
    assert bpf_descriptors() == []


def test_a_struct_under_a_condition_is_no_hindrance():
    """It cannot be a table's type, so that no layout is known; the program runs all the same."""
    with Module(PROGRAM) as made:
        assert made.buffers["events"].event is None
        assert made.losses("events") == (0, 0)
    with pytest.raises(ObjectFormatError, match="no type struct nothing"):
        Module(PROGRAM.replace("#ifdef NEVER", "#if 1"), events={"events": "struct nothing"})
    assert bpf_descriptors() == []


def test_macros():
    source = "BPF_ARRAY(a, u64, SIZE);\n#if !FLAG\n#error no\n#endif\n"
    with Module(source, defines={"SIZE": 12, "FLAG": True}, cflags=["-DX=1"]) as made:
        assert made.tables["a"].raw.max_entries == 12


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("int f(void *ctx)\n{\n    return x;\n}\n", "line 3: error: use of undeclared identifier"),
        ("BPF_PERF_OUTPUT(e);\nint f(void *ctx) {\n return x; }\n", "line 3: error: use of und"),
        ("int f(void *ctx) {\n  return bpf_made_up(1);\n}\n", "line 2: error: implicit declar"),
        ("#include <linux/nothing.h\n", "line 1: error"),
        ("int f(void *ctx) { return 0;\n", "error: expected '}'"),
        ("#include <no_such_header.h>\n", "'no_such_header.h' file not found"),
        (
            "BPF_PERF_OUTPUT(e);\nint f(void *ctx) {\n  char big[600] = {};\n"
            "  e.perf_submit(ctx, &big, sizeof(big));\n  return 0;\n}\n",
            "stack limit of 512 bytes",
        ),
    ],
)
def test_what_does_not_compile(source, said):
    with pytest.raises(LoadError, match="does not compile") as caught:
        Module(source)
    assert said in caught.value.why
    assert caught.value.log
    assert bpf_descriptors() == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return *(int *)0x10;", "invalid mem access"),
        ("u32 k = 0; u64 *v = h.lookup(&k);\n    return *v;", "// line 5"),
    ],
)
def test_what_the_verifier_refuses(body, said):
    source = "BPF_HASH(h, u32, u64);\nBPF_PERF_OUTPUT(e);\n"
    source += f"int f(struct pt_regs *ctx) {{\n    {body}\n}}\n"
    with Module(source) as made:
        with pytest.raises(LoadError, match="refused function f") as caught:
            made.load("f", KPROBE)
        assert said in caught.value.why
        assert "processed" not in caught.value.why
        assert "processed" in caught.value.log
        with pytest.raises(LoadError, match="no function g") as caught:
            made.load("g", KPROBE)
        assert caught.value.why == "it has f"


def test_functions_are_loaded_once():
    with Module("int f(void *ctx) { return 0; }") as made:
        fd = made.load("f", KPROBE)
        assert made.load("f", KPROBE) == fd
        made.unload("f")
        assert made.load("f", KPROBE) >= 0
        made.close()
        made.close()


def test_runs_that_the_kernel_left_out(monkeypatch):
    with Module("int f(void *ctx) { return 0; }") as made:
        made.load("f", KPROBE)
        assert made.missed() == {}
        monkeypatch.setattr(module, "missed_runs", lambda _: 4)
        assert made.missed() == {"f": 4}


def test_tables_that_the_kernel_does_not_make():
    with pytest.raises(MapError, match="tables cannot be made"):
        Module("BPF_QUEUE(nothing_fits, u64, 0);")
    assert bpf_descriptors() == []


def test_refused_is_not_permitted(monkeypatch):
    with Module("int f(void *ctx) { return 0; }") as made:
        monkeypatch.setattr(made._compiler, "load", lambda *_: (-1, errno.EPERM))
        with pytest.raises(NotPermittedError):
            made.load("f", KPROBE)


def test_loading_finishes_and_what_was_loaded_stays():
    with Module("BPF_HASH(h, u32, u32);\nint f(void *ctx) { return 0; }") as made:
        fd = made.load("f", KPROBE)
        made.finish()
        made.finish()
        assert made.load("f", KPROBE) == fd
        made.tables["h"][1] = 2
        assert made.tables["h"].polars().rows() == [(1, 2)]
        made.unload("f")
        with pytest.raises(LoadError, match="too late"):
            made.load("f", KPROBE)
    assert bpf_descriptors() == []


def test_it_is_compiled_once(monkeypatch):
    asked = []
    real = Compiler._ask
    monkeypatch.setattr(
        Compiler, "_ask", lambda self, do, **words: asked.append(do) or real(self, do, **words)
    )
    with Module(PROGRAM.replace("#ifdef NEVER", "#if 1")) as made:
        made.load(made.functions[0], RAW_TRACEPOINT)
    assert asked == ["compile", "load"]


def test_the_environment_is_as_before(monkeypatch):
    monkeypatch.delenv("BCC_KERNEL_SOURCE", raising=False)
    with Module("int f(void *ctx) { return 0; }"):
        assert "BCC_KERNEL_SOURCE" not in os.environ


def test_private_structs_that_programs_define():
    """Tools copy structs of the kernel that no header shows; here every header shows them."""
    source = "struct task_struct { int mine; };\nBPF_ARRAY(a, struct task_struct, 1);\n"
    with Module(source) as made:
        assert made.tables["a"].value.names == ["mine"]
