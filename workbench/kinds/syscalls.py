"""System calls: every one as an event, or counts and histograms made in the kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.errors import ParameterError
from workbench.kinds._kind import Aggregation, CaptureKind, Parameter
from workbench.syscalls_table import arguments_of, number_of

if TYPE_CHECKING:
    from collections.abc import Mapping


def _settings(parameters: Mapping[str, Any], machine: str) -> dict[str, Any]:
    import numpy as np  # not with the registry of kinds, which each client reads

    numbers = number_of(machine)
    unknown = [name for name in parameters["syscalls"] if name not in numbers]
    if unknown:
        raise ParameterError(
            f"There is no system call {', '.join(unknown)} on {machine}.",
            advice="man 2 syscalls lists them; names are without prefix, e.g. openat.",
        )
    if parameters["stacks"] and parameters["aggregate"]:
        raise ParameterError(
            "Counts made in the kernel have no stacks.",
            advice="Leave out aggregate or stacks, or name the calls to capture with syscalls=.",
        )
    chosen = np.zeros(512, bool)
    chosen[[numbers[name] for name in parameters["syscalls"]]] = True
    return {
        "aggregate": int(parameters["aggregate"]),
        "by_syscall": int(bool(parameters["syscalls"])),
        "syscall_set": np.packbits(chosen, bitorder="little").view("<u8"),
        **{f"nr_{name}": numbers[name] for name in ("exit", "exit_group", "execve", "execveat")},
        "arity": [len(names) for names in arguments_of(machine)],
    }


KIND = CaptureKind(
    name="syscalls",
    answers="Which system calls does the program make, how long do they take, which fail?",
    cost="about 0.3 µs a call, of which the two hooks alone are 0.25; with stacks 3 µs (dd) to "
    "7.5 µs (Python) more",
    probes=("tp_btf/sys_enter", "tp_btf/sys_exit", "tp_btf/sched_process_exit"),
    parameters=(
        Parameter("syscalls", (), "names of the calls to capture, all if none is given"),
        Parameter("aggregate", False, "count in the kernel, send no events"),
        Parameter("stacks", False, "take the caller's stack, native and Python, with each event"),
    ),
    settings=_settings,
    ring_bytes=1 << 25,
    stacks="stacks",
    aggregation=Aggregation(
        when="aggregate",
        map="aggregates",
        key="aggregate_key",
        value="aggregate_value",
        table="syscalls_agg",
        count="calls",
    ),
    derived=("name", "errno"),
)
