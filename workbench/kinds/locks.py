"""Locks: who waits for which, for how long, who held it, who released it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.errors import ParameterError
from workbench.kinds._kind import Aggregation, CaptureKind, Parameter
from workbench.syscalls_table import number_of

if TYPE_CHECKING:
    from collections.abc import Mapping


_KERNEL = ("contention_begin", "contention_end")


def _settings(parameters: Mapping[str, Any], machine: str) -> dict[str, Any]:
    if parameters["aggregate"] and parameters["stacks"]:
        raise ParameterError(
            "Counts made in the kernel have no stacks.", advice="Leave out aggregate or stacks."
        )
    return {
        "aggregate": int(parameters["aggregate"]),
        "nr_futex": number_of(machine)["futex"],
        "min_ns": parameters["min_us"] * 1000,
    }


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
        Parameter("aggregate", False, "count in the kernel by lock, send no events"),
        Parameter("kernel", True, "tell of locks of the kernel, too (Linux 5.19)"),
        Parameter("min_us", 0, "leave out waits that are shorter, in µs", low=0, high=10**9),
        Parameter("stacks", False, "take the stack of who waited, and of who released"),
    ),
    settings=_settings,
    ring_bytes=1 << 23,
    stacks="stacks",
    source="workbench.recorder.locks_source:LocksSource",
    derived=("errno",),
    aggregation=Aggregation(
        when="aggregate",
        map="aggregates",
        key="aggregate_key",
        value="aggregate_value",
        table="locks_agg",
        count="events",
    ),
    optional=_KERNEL,
    switches={"kernel": _KERNEL},
)
