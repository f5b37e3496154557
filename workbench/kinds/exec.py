"""Life of processes: who starts what, with which arguments, how it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.kinds._kind import CaptureKind, Parameter
from workbench.syscalls_table import number_of

if TYPE_CHECKING:
    from collections.abc import Mapping


def _settings(_parameters: Mapping[str, Any], machine: str) -> dict[str, Any]:
    numbers = number_of(machine)
    return {f"nr_{name}": numbers[name] for name in ("execve", "execveat")}


KIND = CaptureKind(
    name="exec",
    answers="Which processes start, with which arguments, how long do they live, how do they end?",
    cost="about 6 µs a process; with failed every system call on the machine takes 0.1 µs more",
    probes=(
        "tp_btf/sched_process_fork",
        "tp_btf/sched_process_exec",
        "tp_btf/sched_process_exit",
        "tp_btf/sys_exit",
    ),
    parameters=(Parameter("failed", True, "tell of execve calls that fail, too"),),
    settings=_settings,
    ring_bytes=1 << 21,
    source="workbench.recorder.exec_source:ExecSource",
    derived=("errno",),
    switches={"failed": ("exec_failed",)},
)
