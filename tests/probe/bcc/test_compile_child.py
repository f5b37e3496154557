"""The process that compiles, here as a thread: what it answers, and when it ends."""

import errno
import os
import socket
import threading

import pytest
from compile_bpf import bpf_descriptors

from workbench.probe.bcc import compile_child, finder, headers
from workbench.probe.bcc.attach import KPROBE
from workbench.probe.bcc.compile_child import serve
from workbench.probe.bcc.handover import receive, send
from workbench.probe.bcc.libbcc import lib
from workbench.probe.open_map import OpenMap

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.usefixtures("nothing_left"),
    pytest.mark.skipif(
        finder.distribution_folder() is None, reason="python3-bpfcc is not installed"
    ),
]
PROGRAM = """
struct event { u64 ts; char comm[16]; };
BPF_HASH(counts, u32, struct event);
BPF_PERF_OUTPUT(events);
int good(struct pt_regs *ctx)
{
    struct event e = {};
    events.perf_submit(ctx, &e, sizeof(e));
    return 0;
}
int bad(struct pt_regs *ctx) { return *(int *)0x10; }
"""


@pytest.fixture
def ask(monkeypatch):
    """A function that asks; it gives the answer and its descriptors."""
    monkeypatch.setenv("BCC_KERNEL_SOURCE", "")
    handles = []
    real = compile_child._compiled
    monkeypatch.setattr(
        compile_child, "_compiled", lambda *a: handles.append(real(*a)) or handles[-1]
    )
    ours, theirs = socket.socketpair()
    thread = threading.Thread(target=serve, args=(theirs, os.getppid()))
    thread.start()

    def asked(wanted, **words):
        send(ours, {"do": wanted, **words})
        return receive(ours)

    yield asked
    ours.close()
    thread.join(10)
    assert not thread.is_alive(), "it ends with its channel"
    theirs.close()
    if handles and handles[0]:  # a process of its own would have ended
        lib().bpf_module_destroy(handles[0])
    assert bpf_descriptors() == []


def _compile(ask, text):
    found = headers.find()
    flags = ["-Wno-everything", *found.prepare(text)]
    where = "" if found.installed else str(found.path)
    return ask("compile", text=text, flags=flags, headers=where)


def test_what_a_program_has(ask):
    made, descriptors = _compile(ask, PROGRAM)
    try:
        assert sorted(made["functions"]) == ["bad", "good"]
        counts, events = made["tables"]
        assert counts["name"] == "counts"
        assert counts["key"] == '"unsigned int"'
        assert "comm" in counts["value"]
        assert events["sent"] == ["ts", "comm"]
        maps = [OpenMap.of(fd) for fd in descriptors]
        assert [m.name for m in maps] == ["counts", "events"]
        assert maps[0].value_size == 24
    finally:
        for fd in descriptors:
            os.close(fd)


def test_functions_are_loaded_or_refused(ask, capfd):
    _, descriptors = _compile(ask, PROGRAM)
    try:
        good, (fd,) = ask("load", function="good", kind=KPROBE)
        assert good == {}
        descriptors.append(fd)
        assert ask("load", function="bad", kind=KPROBE) == (
            {"failed": True, "errno": errno.EACCES},
            [],
        )
        assert "invalid mem access" in capfd.readouterr().err
        assert ask("rewrite", text=PROGRAM, flags=["-Wno-everything"]) == ({}, [])
        assert "bpf_perf_event_output(" in "".join(capfd.readouterr())
    finally:
        for fd in descriptors:
            os.close(fd)


def test_what_does_not_compile(ask, capfd):
    assert _compile(ask, "int f(void *ctx) { return x; }") == ({"failed": True}, [])
    assert "undeclared identifier 'x'" in capfd.readouterr().err


def test_it_ends_when_its_parent_has():
    """Even where somebody else keeps the channel open."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        serve(theirs, os.getppid() + 1)
