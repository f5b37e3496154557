"""What this kernel and this user allow: asked of the kernel, never guessed from its version."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from workbench.errors import KernelError
from workbench.probe import privileges
from workbench.probe.clib import lib
from workbench.probe.map_access import HASH, PERF_EVENT_ARRAY, RINGBUF

BTF = Path("/sys/kernel/btf/vmlinux")
PID_NAMESPACE = Path("/proc/self/ns/pid")
PID_INIT_INO = 0xEFFFFFFC  # PROC_PID_INIT_INO, include/linux/proc_ns.h
TRACEFS = (Path("/sys/kernel/tracing"), Path("/sys/kernel/debug/tracing"))
KPROBE_PMU = Path("/sys/bus/event_source/devices/kprobe")  # CONFIG_KPROBE_EVENTS
TASK_STORAGE = 29  # BPF_MAP_TYPE_TASK_STORAGE
# enum bpf_prog_type
PERF_EVENT, TRACING = 7, 26


@dataclass(frozen=True)
class Check:
    """The result of one check.

    Parameters
    ----------
    name : str
    ok : bool
    found : str
        What was found.
    advice : str
        How to mend it; empty if ok.
    required : bool
        Without it nothing can be captured; otherwise something works less well.
    """

    name: str
    ok: bool
    found: str
    advice: str = ""
    required: bool = True


@cache
def has_map_type(number: int) -> bool:
    """Whether the kernel can make maps of that type (makes one and closes it)."""
    return bool(lib().libbpf_probe_bpf_map_type(number, None) == 1)


@cache
def has_program_type(number: int) -> bool:
    """Whether the kernel loads programs of that type (loads a tiny one and closes it)."""
    return bool(lib().libbpf_probe_bpf_prog_type(number, None) == 1)


def has_ring_buffer() -> bool:
    """Whether the kernel has ring buffers (Linux 5.8)."""
    return has_map_type(RINGBUF)


def tracefs() -> Path | None:
    """Where tracefs is mounted and readable."""
    return next((path for path in TRACEFS if (path / "events").is_dir()), None)


def _sysctl(name: str) -> str:
    try:
        return Path("/proc/sys/kernel", name).read_text().strip()
    except OSError:
        return "unknown"


def _privileges() -> Check:
    have = sorted(privileges.effective_capabilities())
    return Check(
        "privileges",
        privileges.may_load(),
        f"uid {os.geteuid()}, {', '.join(have) or 'no capabilities'}",
        "Run as root, or give CAP_BPF and CAP_PERFMON: sudo capsh, setcap, or a container with "
        "--cap-add. Without them recorded sessions still open.",
    )


def _btf() -> Check:
    return Check(
        "BTF",
        BTF.is_file(),
        str(BTF) if BTF.is_file() else "none",
        "The kernel must be built with CONFIG_DEBUG_INFO_BTF (Debian 11, Ubuntu 20.10, RHEL 8.2 "
        "and newer are).",
    )


def _lockdown() -> Check:
    mode = privileges.lockdown()
    return Check(
        "lockdown",
        mode != privileges.CONFIDENTIALITY,
        mode or "not visible",
        privileges.LOCKED_DOWN,
    )


def _kernel_features() -> list[Check]:
    if not privileges.may_load():
        return []
    newer = "A newer kernel has it; the perf buffer is used instead."
    ring = has_ring_buffer()
    return [
        Check("hash maps", has_map_type(HASH), "", "The bpf system call is not available."),
        Check("ring buffer", ring, "yes" if ring else "no", newer, required=False),
        Check("perf buffer", has_map_type(PERF_EVENT_ARRAY), "", "", required=False),
        Check(
            "task storage",
            has_map_type(TASK_STORAGE),
            "",
            "The kind syscalls needs Linux 5.11 or newer.",
        ),
        Check("perf_event programs", has_program_type(PERF_EVENT), "", "The kind cpu needs them."),
        Check(
            "kprobes",
            KPROBE_PMU.exists(),
            "",
            "Own probes (kprobe:) need them; rawtp: works without.",
            required=False,
        ),
    ]


def _environment() -> list[Check]:
    mounted = tracefs()
    paranoid, unprivileged = _sysctl("perf_event_paranoid"), _sysctl("unprivileged_bpf_disabled")
    limited = not privileges.may_load()
    kptr = _sysctl("kptr_restrict")
    return [
        Check(
            "tracefs",
            mounted is not None,
            str(mounted or "not mounted"),
            "Own probes (tracepoint:) need it mounted where CAP_SYS_ADMIN is missing.",
            required=False,
        ),
        Check(
            "perf_event_paranoid",
            not limited or paranoid in ("-1", "0", "1"),
            paranoid,
            "CAP_PERFMON overrides it.",
            required=False,
        ),
        Check(
            "unprivileged_bpf_disabled",
            not limited or unprivileged == "0",
            unprivileged,
            "CAP_BPF overrides it.",
            required=False,
        ),
        Check(
            "kernel symbols",
            kptr == "0" or (kptr == "1" and os.geteuid() == 0),
            f"kptr_restrict {kptr}",
            "sysctl kernel.kptr_restrict=1 and root, else kernel frames have no names.",
            required=False,
        ),
    ]


def _pid_namespace() -> Check:
    inode = PID_NAMESPACE.stat().st_ino if PID_NAMESPACE.exists() else 0
    return Check(
        "pid namespace",
        inode == PID_INIT_INO,
        "the host's" if inode == PID_INIT_INO else "a container's",
        "eBPF sees the host's process ids: start the container with --pid=host.",
    )


def _libbpf() -> Check:
    try:
        lib()
    except KernelError as error:
        return Check("libbpf", False, error.why, error.advice)
    return Check("libbpf", True, "libbpf.so.1")


def _objects() -> Check:
    folder = Path(__file__).parent.parent / "objects"
    built = sorted(path.name for path in folder.glob("*.bpf.o"))
    return Check(
        "BPF objects",
        bool(built),
        ", ".join(built) or "none",
        "Build them with `make bpf` (needs clang and libbpf-dev); wheels hold them.",
    )


def _machine() -> Check:
    machine = platform.machine()
    known = platform.system() == "Linux" and machine in ("x86_64", "aarch64")
    found = f"{platform.system()} {platform.release()} {machine}"
    return Check("system", known, found, "Captures need Linux on x86-64 or arm64.")


def checks() -> list[Check]:
    """Run all checks; harmless, leaves nothing behind."""
    libbpf = _libbpf()
    features = _kernel_features() if libbpf.ok else []
    head = [_machine(), _privileges(), _pid_namespace(), _btf(), _lockdown(), libbpf, _objects()]
    return [*head, *features, *_environment()]


def can_capture() -> bool:
    """Whether all required checks hold."""
    return all(check.ok for check in checks() if check.required)
