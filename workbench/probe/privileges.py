"""What this user may do: capabilities, and the kernel's lockdown."""

from __future__ import annotations

import re
from pathlib import Path

LOCKDOWN = Path("/sys/kernel/security/lockdown")
CONFIDENTIALITY = "confidentiality"
LOCKED_DOWN = (
    "Lockdown mode confidentiality forbids reading kernel memory: boot with lockdown=integrity."
)
# include/uapi/linux/capability.h
CAPABILITIES = {"CAP_SYS_ADMIN": 21, "CAP_PERFMON": 38, "CAP_BPF": 39, "CAP_SYS_PTRACE": 19}


def effective_capabilities(status: str = "/proc/self/status") -> set[str]:
    """Names of those of :data:`CAPABILITIES` that this process has."""
    for line in Path(status).read_text().splitlines():
        if line.startswith("CapEff:"):
            mask = int(line.split()[1], 16)
            return {name for name, bit in CAPABILITIES.items() if mask >> bit & 1}
    return set()


def may_load() -> bool:
    """Whether this user has the capabilities to load and attach programs."""
    have = effective_capabilities()
    return "CAP_SYS_ADMIN" in have or {"CAP_BPF", "CAP_PERFMON"} <= have


def lockdown(path: Path = LOCKDOWN) -> str:
    """Lockdown mode: none, integrity, confidentiality, or "" where it cannot be told."""
    try:
        text = path.read_text()
    except OSError:
        return ""
    return text.partition("[")[2].partition("]")[0]


def refusal_advice(log: str) -> str:
    """Say what to do where the verifier's log shows what is missing here; else "".

    Under lockdown programs are not given the helpers that read kernel memory
    (``bpf_tracing_func_proto()``, kernel/trace/bpf_trace.c).
    """
    asked = re.search(r"(?:unknown func|cannot use helper) bpf_probe_read", log)
    return LOCKED_DOWN if asked and lockdown() == CONFIDENTIALITY else ""
