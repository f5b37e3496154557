"""Locks: who waits for which, for how long, who held it, who released it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.kinds._kind import CaptureKind, Parameter
from workbench.syscalls_table import number_of

if TYPE_CHECKING:
    from collections.abc import Mapping


def _settings(parameters: Mapping[str, Any], machine: str) -> dict[str, Any]:
    return {"nr_futex": number_of(machine)["futex"], "min_ns": parameters["min_us"] * 1000}


KIND = CaptureKind(
    name="locks",
    answers="Which locks do threads wait for, how long, who held them, who released them?",
    cost="about 1 µs a wait or wake, 5 to 10 µs more with stacks; every system call on the machine "
    "takes 0.2 µs more",
    probes=(
        "tp_btf/sys_enter",
        "tp_btf/sys_exit",
        "tp_btf/sched_waking",
        "tp_btf/contention_begin",
        "tp_btf/contention_end",
    ),
    parameters=(
        Parameter("kernel", True, "tell of locks of the kernel, too (Linux 5.19)"),
        Parameter("min_us", 0, "leave out waits that are shorter, in µs", low=0, high=10**9),
        Parameter("stacks", False, "take the stack of who waited, and of who released"),
    ),
    settings=_settings,
    ring_bytes=1 << 23,
    stacks="stacks",
    source="workbench.recorder.locks_source:LocksSource",
    derived=("errno",),
    optional=("contention_begin", "contention_end"),
)
