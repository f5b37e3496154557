"""Programs attached to places chosen at run time count what really happens there."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from compile_bpf import compile_bpf
from programs import compiled, running

from workbench.errors import AttachError, KernelError
from workbench.probe import attach, perf_event, support, tracepoints
from workbench.probe.objects import Object
from workbench.symbols import places, usdt

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("nothing_left")]

SDT = Path(__file__).parent.parent / "sdt.h"
BODY = """
const volatile __u32 only = 0;
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 8); __type(key, __u32);
         __type(value, __u64); } seen SEC(".maps");
static __attribute__((always_inline)) int count(__u32 at)
{
    __u64 *n = bpf_map_lookup_elem(&seen, &at);
    if (n && (bpf_get_current_pid_tgid() >> 32) == only) __sync_fetch_and_add(n, 1);
    return 0;
}
SEC("uprobe") int user(void *ctx) { return count(bpf_get_attach_cookie(ctx) & 7); }
SEC("kprobe") int kernel(void *ctx) { return count(0); }
SEC("tracepoint") int point(void *ctx) { return count(2); }
SEC("raw_tp") int raw(void *ctx) { return count(3); }
SEC("tp_btf") int typed(void *ctx) { return count(4); }
SEC("fentry") int entered(void *ctx) { return count(5); }
SEC("perf_event") int tick(void *ctx) { return count(6); }
"""
PROGRAM = """
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
__attribute__((section(".probes"))) volatile unsigned short gate;
__attribute__((noinline)) int work(int x) { asm volatile(""); return x + 1; }
int main(void) {
    char line[8];
    unsigned opened = 0;
    do {
        printf("gate %#x\\n", 0x10000 + opened);
        puts("ready");
        fflush(stdout);
        opened = 0;
        if (!fgets(line, sizeof(line), stdin)) return 0;
        for (int i = 0; i < 5; i++) work(i);
        for (int i = 0; i < 3; i++) {
            asm volatile(SDT("app", "step", "gate", ""));
            if (gate) opened++;
        }
        for (int i = 0; i < 7; i++) kill(getpid(), 0);
        for (volatile int i = 0; i < 3000000; i++) ;
    } while (1);
}
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return compile_bpf(tmp_path_factory.mktemp("bpf"), BODY)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return compiled(
        tmp_path_factory.mktemp("attach"), "prog", PROGRAM, "gcc", "-O1", "-include", str(SDT)
    )


@pytest.fixture
def process(program):
    with running(program) as started:
        yield started


@pytest.fixture
def opened(path, process):
    """Load the object with one of its programs."""
    made = []

    def open_with(name, prepare=None):
        obj = Object(path)
        made.append(obj)
        for other in obj.programs.values():
            if other.name != name:
                other.leave_out()
        obj.set("only", process.pid)
        if prepare:
            prepare(obj.programs[name])
        obj.load()
        return obj

    yield open_with
    for obj in made:
        obj.close()


def counts(obj):
    return np.frombuffer(obj.maps["seen"].items()[1].tobytes(), np.uint64)


def test_functions_of_programs(opened, process, program):
    obj = opened("user")
    user, place = obj.programs["user"], places.find(str(program), "work")
    obj.hold(attach.uprobe(user, place.path, place.offset, cookie=1))
    back = obj.hold(attach.uprobe(user, place.path, place.offset, cookie=7, returns=True))
    process.go_on()
    assert counts(obj).tolist() == [0, 5, 0, 0, 0, 0, 0, 5]
    back.close()
    process.go_on()
    assert counts(obj).tolist() == [0, 10, 0, 0, 0, 0, 0, 5]
    obj.detach()
    process.go_on()
    assert counts(obj).tolist() == [0, 10, 0, 0, 0, 0, 0, 5]


def test_one_process_only(opened, process, program):
    obj = opened("user")
    place = places.find(str(program), "work")
    obj.hold(attach.uprobe(obj.programs["user"], place.path, place.offset, pid=os.getpid()))
    process.go_on()
    assert not counts(obj).any()
    obj.hold(attach.uprobe(obj.programs["user"], place.path, place.offset, pid=process.pid))
    process.go_on()
    assert counts(obj)[0] == 5


def test_static_probes_and_their_gate(opened, process, program):
    obj = opened("user")
    (site,) = usdt.find(str(program), "app", "step")
    assert process.addresses["gate"] == 0x10000
    obj.hold(
        attach.uprobe(
            obj.programs["user"], site.path, site.offset, semaphore=site.semaphore, cookie=1
        )
    )
    process.go_on()
    assert process.addresses["gate"] == 0x10003
    assert counts(obj)[1] == 3
    obj.detach()
    process.go_on()
    assert process.addresses["gate"] == 0x10000


def test_tracepoints(opened, process):
    obj = opened("point")
    obj.hold(attach.tracepoint(obj.programs["point"], "syscalls", "sys_enter_kill"))
    process.go_on()
    assert counts(obj)[2] == 7


def test_raw_tracepoints(opened, process):
    obj = opened("raw")
    obj.hold(attach.raw_tracepoint(obj.programs["raw"], "signal_generate"))
    process.send_signal(signal.SIGCONT)  # of the sender, which is another process
    process.go_on()
    assert not counts(obj).any()
    with pytest.raises(AttachError, match="signal_generat ") as caught:
        attach.raw_tracepoint(obj.programs["raw"], "signal_generat")
    assert "signal_generate" in caught.value.advice


def test_typed_tracepoints(opened, process):
    obj = opened("typed", lambda typed: attach.aim(typed, "tp_btf", "sys_enter"))
    obj.attach(obj.programs["typed"])
    process.go_on()
    assert counts(obj)[4] >= 7
    with pytest.raises(AttachError) as caught:
        attach.aim(obj.programs["typed"], "tp_btf", "sched_swich")
    assert "sched_switch" in caught.value.advice


@pytest.mark.parametrize(("name", "rate"), [("cpu-clock", 99), ("task-clock", 99)])
def test_clocks(opened, process, name, rate):
    obj = opened("tick")
    for cpu in perf_event.online_cpus():
        fd = perf_event.open_event(name, cpu, rate)
        obj.attach_perf_event(obj.programs["tick"], fd)
    for _ in range(5000):
        process.go_on()
        if counts(obj)[6]:
            return
    raise AssertionError("no sample of a busy process")


def test_functions_of_the_kernel(opened, process):
    obj = opened("kernel")
    if not support.KPROBE_PMU.exists():
        with pytest.raises(AttachError, match="vfs_read") as caught:
            attach.kprobe(obj.programs["kernel"], "vfs_read")
        assert "no kprobes" in caught.value.why
        assert "sys_enter_read" in caught.value.advice
        return
    obj.hold(attach.kprobe(obj.programs["kernel"], "vfs_read"))
    process.go_on()
    assert counts(obj)[0] >= 1
    with pytest.raises(AttachError) as caught:
        attach.kprobe(obj.programs["kernel"], "vfs_raed")
    assert "vfs_read" in caught.value.advice


def test_functions_of_the_kernel_by_trampoline(opened, process):
    try:
        obj = opened("entered", lambda program: attach.aim(program, "fentry", "vfs_read"))
        obj.attach(obj.programs["entered"])
    except KernelError as error:
        told = attach.refused_tracing("fentry", "vfs_read", error)
        assert "trampolines" in told.why
        assert "sys_enter_read" in told.advice
        return
    process.go_on()
    assert counts(obj)[5] >= 1


def test_unknown_functions_of_the_kernel(path):
    with Object(path) as obj:
        with pytest.raises(AttachError) as caught:
            attach.aim(obj.programs["entered"], "fentry", "vfs_raed")
        assert "no such function" in caught.value.why
        assert "vfs_read" in caught.value.advice


def test_places_where_no_code_is(opened, program):
    obj = opened("user")
    with pytest.raises(AttachError, match="cannot be attached") as caught:
        attach.uprobe(obj.programs["user"], str(program), 1 << 40)
    assert caught.value.why


def test_files_that_are_gone(opened, tmp_path):
    obj = opened("user")
    with pytest.raises(AttachError, match="cannot be attached"):
        attach.uprobe(obj.programs["user"], str(tmp_path / "gone"), 0x1000)


def test_without_privilege(path):
    code = """
import os
from workbench.probe.objects import Object
from workbench.probe import attach, perf_event
from workbench.errors import NotPermittedError
os.setuid(65534)
for call in (lambda: perf_event.open_event("cpu-clock", 0, 99),
             lambda: perf_event.open_tracepoint(1, "A tracepoint")):
    try:
        call()
    except NotPermittedError as error:
        assert "CAP_PERFMON" in error.advice, error
    else:
        raise SystemExit("it was permitted")
"""
    if os.geteuid() != 0:
        pytest.skip("needs root, to give it up")
    subprocess.run([sys.executable, "-c", code], check=True, cwd="/")


def test_what_would_work_instead():
    assert "sys_enter_openat" in attach.instead("__x64_sys_openat")
    assert "rawtp:tcp_retransmit_skb" in attach.instead("tcp_retransmit_skb")
    assert "tracepoint:" in attach.instead("qqqqqq")
    assert "sched_switch" in tracepoints.all_names()
    assert {"schedule", "vfs_read"} <= attach.kernel_functions()
