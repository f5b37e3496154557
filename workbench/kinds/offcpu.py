"""Off-CPU time: where threads wait, for how long, and who woke them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.kinds._kind import CaptureKind, Parameter

if TYPE_CHECKING:
    from collections.abc import Mapping


def _settings(parameters: Mapping[str, Any], _machine: str) -> dict[str, Any]:
    return {
        "kernel_stacks": int(parameters["kernel_stacks"]),
        "user_stacks": int(parameters["user_stacks"]),
        "python_stacks": int(parameters["python_stacks"]),
        "waker_stacks": int(parameters["waker_stacks"]),
        "min_ns": parameters["min_us"] * 1000,
    }


KIND = CaptureKind(
    name="offcpu",
    answers="Where do threads wait, for how long, for what, and who wakes them?",
    cost="about 5 µs each time that a thread leaves the CPU, 1 µs without stacks; 5 µs more with "
    "waker_stacks",
    probes=(
        "tp_btf/sched_switch",
        "tp_btf/sched_waking",
        "tp_btf/sched_wakeup",
        "tp_btf/sched_wakeup_new",
    ),
    parameters=(
        Parameter("min_us", 0, "leave out periods that are shorter, in µs", low=0, high=10**9),
        Parameter("waker_stacks", False, "take the stack of the thread that wakes, too"),
        Parameter("kernel_stacks", True, "take the kernel's part of the stack"),
        Parameter("user_stacks", True, "take the program's part of the stack"),
        Parameter("python_stacks", True, "take the Python frames of CPython programs"),
    ),
    settings=_settings,
    ring_bytes=1 << 24,
    stacks=True,
    source="workbench.recorder.offcpu_source:OffcpuSource",
)
