"""Clocks and buffers of perf_event_open: opened, or refused with the reason."""

import errno
import os

import pytest
from compile_bpf import bpf_descriptors

from workbench.errors import AttachError, KernelError, NotPermittedError
from workbench.probe import perf_event
from workbench.probe.perf_event import online_cpus, open_bpf_output, open_cpu_clock


@pytest.mark.parametrize(
    ("text", "cpus"),
    [("0\n", [0]), ("0-3\n", [0, 1, 2, 3]), ("0-1,4,6-7", [0, 1, 4, 6, 7])],
)
def test_online_cpus(tmp_path, text, cpus):
    (tmp_path / "online").write_text(text)
    assert online_cpus(str(tmp_path / "online")) == cpus


def test_online_cpus_of_this_machine(tmp_path):
    assert set(os.sched_getaffinity(0)) <= set(online_cpus())
    assert online_cpus(str(tmp_path / "none")) == list(range(os.cpu_count()))


def test_on_another_architecture(monkeypatch):
    monkeypatch.setattr(perf_event.platform, "machine", lambda: "riscv64")
    with pytest.raises(KernelError, match="riscv64"):
        open_cpu_clock(0, 99)


@pytest.mark.kernel
def test_a_clock_and_a_buffer():
    fds = [open_cpu_clock(0, 99), open_bpf_output(0, 1 << 16), open_bpf_output(0, 0)]
    assert all(not os.get_inheritable(fd) for fd in fds)
    assert len(bpf_descriptors()) == 3
    for fd in fds:
        os.close(fd)
    assert bpf_descriptors() == []


@pytest.mark.kernel
def test_a_cpu_that_is_not_there():
    for attempt in (lambda: open_cpu_clock(4000, 99), lambda: open_bpf_output(4000, 1)):
        with pytest.raises(AttachError, match="on CPU 4000 cannot be opened") as caught:
            attempt()
        assert caught.value.why


@pytest.mark.kernel
def test_a_rate_that_the_kernel_does_not_allow():
    with pytest.raises(AttachError, match="100000000 Hz") as caught:
        open_cpu_clock(0, 100_000_000)
    assert "EINVAL" in caught.value.why
    assert "perf_event_max_sample_rate" in caught.value.advice


@pytest.mark.parametrize("number", [errno.EPERM, errno.EACCES])
def test_without_the_right(monkeypatch, number):
    class Refusing:
        @staticmethod
        def syscall(*_arguments):
            perf_event.c.set_errno(number)
            return -1

    monkeypatch.setattr(perf_event, "libc", Refusing)
    with pytest.raises(NotPermittedError, match="99 Hz sampling clock on CPU 0") as caught:
        open_cpu_clock(0, 99)
    assert errno.errorcode[number] in caught.value.why
