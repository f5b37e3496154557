"""Places of BCC functions: by name or declared; what is not there says what would be."""

import subprocess
import sys

import pytest
from compile_bpf import bpf_descriptors

from workbench.errors import AttachError, LoadError, NotPermittedError
from workbench.probe import support
from workbench.probe.bcc import attach, finder
from workbench.probe.bcc.attach import Attachments, by_name, parse, resolved
from workbench.probe.bcc.module import Module

pytestmark = pytest.mark.skipif(
    finder.distribution_folder() is None, reason="python3-bpfcc is not installed"
)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("kprobe__vfs_read", ("kprobe", "vfs_read")),
        ("kretprobe__sys_clone", ("kretprobe", "sys_clone")),
        ("tracepoint__sched__sched_switch", ("tracepoint", "sched:sched_switch")),
        ("raw_tracepoint__sys_enter", ("rawtp", "sys_enter")),
        ("kfunc__vmlinux__vfs_read", ("fentry", "vmlinux__vfs_read")),
        ("kretfunc__vfs_read", ("fexit", "vfs_read")),
        ("lsm__file_open", ("lsm", "file_open")),
        ("on_read", None),
    ],
)
def test_names(name, place):
    assert by_name(name) == place


def test_declared_places():
    assert parse("uprobe:/usr/bin/x:main") == ("uprobe", "/usr/bin/x:main")
    assert parse("perf:cpu-clock:99") == ("perf", "cpu-clock:99")
    for wrong in ("", "kprobe", "kprobe:", "made_up:x", "fentry:vfs_read", "lsm:file_open"):
        with pytest.raises(AttachError, match="no place"):
            parse(wrong)


def test_symbols(tmp_path):
    path, address = resolved("c", "malloc")
    assert resolved(path.decode(), "malloc") == (path, address)
    assert resolved(path.decode(), hex(address)) == (path, address)
    with pytest.raises(AttachError, match="no function made_up") as caught:
        resolved("c", "made_up")
    assert "nm -D" in caught.value.advice
    with pytest.raises(AttachError, match="There is no file"):
        resolved(str(tmp_path / "none"), "main")
    with pytest.raises(AttachError, match="There is no library no_such_library") as caught:
        resolved("no_such_library", "main")
    assert "ldconfig" in caught.value.advice


FUNCTION = "int f(struct pt_regs *ctx) { return 0; }\n"
BAD = [
    ("f", "uprobe", "c:made_up", "no function made_up", ""),
    ("f", "perf", "made-up:99", "no event", ""),
    ("f", "perf", "cpu-clock:0", "no event", ""),
    ("f", "tracepoint", "sched:made_up", "no tracepoint sched:made_up", "sched"),
    ("f", "rawtp", "made_up", "attached to rawtp:made_up", "tracepoint made_up"),
    ("f", "kprobe", "made_up_function", "attached to kprobe", "kprobes|kallsyms"),
    ("f", "fentry", "made_up", "", ""),
]


@pytest.mark.kernel
@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize(("function", "kind", "where", "what", "advice"), BAD)
def test_places_that_are_not_there(function, kind, where, what, advice):
    import re

    source = (
        FUNCTION.replace("int f", "int kfunc__vmlinux__made_up") if kind == "fentry" else FUNCTION
    )
    with Module(source) as module:
        attached = Attachments(module)
        name = module.functions[0] if kind == "fentry" else function
        with pytest.raises((AttachError, LoadError)) as caught:
            attached.attach(name, kind, where)
        assert what in caught.value.what
        assert re.search(advice, caught.value.advice)
        attached.close()
    assert bpf_descriptors() == []


@pytest.mark.kernel
@pytest.mark.usefixtures("nothing_left")
def test_a_tracepoint_whose_record_is_shorter():
    source = "struct all { u64 x[100]; };\nint f(struct all *args) { return args->x[90]; }\n"
    with Module(source) as module, pytest.raises(AttachError) as caught:
        Attachments(module).attach("f", "tracepoint", "sched:sched_process_exit")
    assert "beyond the record" in caught.value.why


@pytest.mark.kernel
@pytest.mark.usefixtures("nothing_left")
def test_functions_of_programs_run_as_often_as_they_are_called():
    """A child calls getppid() by hand; uprobe and uretprobe count it, for its process alone."""
    child = "import os, sys\nsys.stdin.readline()\nfor _ in range(321): os.getppid()\n"
    source = """
BPF_ARRAY(calls, u64, 2);
int enter(struct pt_regs *ctx) { calls.increment(0); return 0; }
int leave(struct pt_regs *ctx) { calls.increment(1); return 0; }
"""
    command = [sys.executable, "-c", child]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, text=True) as process,
        Module(source) as module,
    ):
        attached = Attachments(module, process.pid)
        attached.attach("enter", "uprobe", "c:getppid")
        attached.attach("leave", "uretprobe", "c:getppid")
        process.communicate("go\n")
        attached.close()
        attached.close()
        assert module.tables["calls"].polars()["value"].to_list() == [321, 321]
    assert bpf_descriptors() == []


def test_refusal_without_advice_is_about_privileges(monkeypatch):
    attached = Attachments.__new__(Attachments)
    attached._detach = []
    monkeypatch.setattr(attach, "last_errno", lambda: 1)
    with pytest.raises(NotPermittedError):
        attached._keep("uprobe", "c:malloc", lambda: -1)
    with pytest.raises(AttachError) as caught:
        attached._keep("perf", "cycles:1", lambda: -1)
    assert "cpu-clock" in caught.value.advice


def test_advice_depends_on_the_kernel(monkeypatch, tmp_path):
    monkeypatch.setattr(support, "KPROBE_PMU", tmp_path / "none")
    assert "no kprobes" in attach._advice("kprobe", "vfs_read")
    monkeypatch.setattr(support, "KPROBE_PMU", tmp_path)
    assert "kallsyms" in attach._advice("kprobe", "vfs_read")
    assert attach._advice("usdt", "x") == ""
