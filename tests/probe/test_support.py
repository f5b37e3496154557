"""What is said about a kernel and a user, from made-up files and from this machine's."""

from types import SimpleNamespace

import pytest

from workbench.errors import UnsupportedKernelError
from workbench.probe import privileges, support
from workbench.probe.support import Check


def test_tracefs(tmp_path, monkeypatch):
    monkeypatch.setattr(support, "TRACEFS", (tmp_path / "a", tmp_path / "b"))
    assert support.tracefs() is None
    (tmp_path / "b" / "events").mkdir(parents=True)
    assert support.tracefs() == tmp_path / "b"


def by_name():
    return {check.name: check for check in support.checks()}


def refuse():
    raise UnsupportedKernelError("x", why="no libbpf.so.1", advice="Install it.")


@pytest.mark.parametrize(
    ("name", "attribute", "value", "advice"),
    [
        ("BTF", "BTF", None, "CONFIG_DEBUG_INFO_BTF"),
        ("lockdown", "lockdown", lambda: "confidentiality", "lockdown=integrity"),
        ("privileges", "effective_capabilities", set, "CAP_BPF and CAP_PERFMON"),
        ("libbpf", "lib", refuse, "Install it."),
        ("system", "platform", SimpleNamespace(machine=lambda: "riscv64", system=lambda: "Linux",
                                               release=lambda: "6"), "x86-64 or arm64"),
        ("task storage", "has_map_type", lambda n: n != 29, "5.11"),
    ],
)  # fmt: skip
def test_each_required_check_can_fail(monkeypatch, tmp_path, name, attribute, value, advice):
    monkeypatch.setattr(privileges, "may_load", lambda: attribute != "effective_capabilities")
    owner = privileges if hasattr(privileges, attribute) else support
    monkeypatch.setattr(owner, attribute, value or tmp_path / "none")
    check = by_name()[name]
    assert (check.ok, check.required) == (False, True)
    assert advice in check.advice
    assert not support.can_capture()


@pytest.mark.parametrize("name", ["ring buffer", "perf buffer", "tracefs", "kprobes"])
def test_what_is_only_nice_to_have(monkeypatch, tmp_path, name):
    monkeypatch.setattr(privileges, "may_load", lambda: True)
    monkeypatch.setattr(support, "has_map_type", lambda n: n not in (27, 4))
    monkeypatch.setattr(support, "has_program_type", bool)
    monkeypatch.setattr(support, "TRACEFS", ())
    monkeypatch.setattr(support, "KPROBE_PMU", tmp_path / "none")
    check = by_name()[name]
    assert (check.ok, check.required) == (False, False)


@pytest.mark.parametrize(
    ("paranoid", "unprivileged", "kptr", "ok"),
    [("2", "2", "2", False), ("1", "0", "0", True), ("unknown", "unknown", "unknown", False)],
)
def test_sysctls_of_a_user_without_capabilities(monkeypatch, paranoid, unprivileged, kptr, ok):
    values = {
        "perf_event_paranoid": paranoid,
        "unprivileged_bpf_disabled": unprivileged,
        "kptr_restrict": kptr,
    }
    monkeypatch.setattr(support, "_sysctl", values.get)
    monkeypatch.setattr(privileges, "may_load", lambda: False)
    checks = by_name()
    assert "ring buffer" not in checks  # asking the kernel needs the capabilities
    for name in ("perf_event_paranoid", "unprivileged_bpf_disabled", "kernel symbols"):
        assert checks[name].ok is ok, name


def test_a_sysctl_that_is_not_there():
    assert support._sysctl("no_such_sysctl") == "unknown"
    assert support._sysctl("osrelease") != "unknown"


def test_a_check_without_remarks():
    assert Check("x", True, "y").required
    assert Check("x", True, "y").advice == ""


@pytest.mark.kernel
def test_this_kernel():
    assert support.has_map_type(1)
    assert not support.has_map_type(9999)
    assert support.has_program_type(7)
    assert not support.has_program_type(9999)
    assert support.can_capture()
    checks = by_name()
    assert "syscalls.bpf.o" in checks["BPF objects"].found
    assert support.has_ring_buffer() == checks["ring buffer"].ok
