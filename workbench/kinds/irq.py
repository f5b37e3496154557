"""Interrupts and softirqs: which ones take the CPU from the program, for how long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.errors import ParameterError
from workbench.kinds._kind import Aggregation, CaptureKind, Parameter

if TYPE_CHECKING:
    from collections.abc import Mapping


_VECTORS = ("local_timer", "reschedule", "call_function", "call_function_single", "irq_work")
"""What x86 tells of interrupts without a device."""


def _settings(parameters: Mapping[str, Any], _machine: str) -> dict[str, Any]:
    if parameters["aggregate"] and parameters["min_us"]:
        raise ParameterError(
            "Counts made in the kernel hold all interrupts.",
            advice="Leave out aggregate or min_us.",
        )
    return {"aggregate": int(parameters["aggregate"]), "min_ns": parameters["min_us"] * 1000}


KIND = CaptureKind(
    name="irq",
    answers="Which interrupts and softirqs come while the program runs, how long do they take?",
    cost="about 0.5 µs an interrupt",
    probes=(
        "tp_btf/irq_handler_entry and _exit",
        "tp_btf/softirq_entry and _exit",
        "tp_btf/local_timer_entry and the like (x86)",
    ),
    parameters=(
        Parameter("aggregate", False, "count in the kernel by interrupt and CPU, send no events"),
        Parameter("min_us", 0, "leave out those that took less, in µs", low=0, high=10**9),
    ),
    settings=_settings,
    ring_bytes=1 << 21,
    source="workbench.recorder.irq_source:IrqSource",
    aggregation=Aggregation(
        when="aggregate",
        map="aggregates",
        key="aggregate_key",
        value="aggregate_value",
        table="irq_agg",
        count="interrupts",
    ),
    optional=tuple(f"{vector}_{end}" for vector in _VECTORS for end in ("entry", "exit")),
)
