"""CPU profile: stacks at the ticks of a sampling clock."""

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
    }


KIND = CaptureKind(
    name="cpu",
    answers="Which code uses the CPU, in the program and in the kernel?",
    cost="5 µs a sample (C++) to 13 µs (Python): about 0.1 % of a CPU at 99 Hz",
    probes=("perf_event cpu-clock on every CPU",),
    parameters=(
        Parameter("hz", 99, "samples a second on each CPU", low=1, high=10_000),
        Parameter("kernel_stacks", True, "take the kernel's part of the stack"),
        Parameter("user_stacks", True, "take the program's part of the stack"),
        Parameter("python_stacks", True, "take the Python frames of CPython programs"),
    ),
    settings=_settings,
    ring_bytes=1 << 22,
    clock="hz",
    stacks=True,
)
