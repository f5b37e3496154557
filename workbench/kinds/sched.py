"""Scheduling: when threads run, how long they wait for a CPU, who wakes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.errors import ParameterError
from workbench.kinds._kind import Aggregation, CaptureKind, Parameter

if TYPE_CHECKING:
    from collections.abc import Mapping


def _settings(parameters: Mapping[str, Any], _machine: str) -> dict[str, Any]:
    if parameters["aggregate"] and parameters["min_us"]:
        raise ParameterError(
            "Counts made in the kernel hold all runs.",
            advice="Leave out aggregate or min_us.",
        )
    return {"aggregate": int(parameters["aggregate"]), "min_ns": parameters["min_us"] * 1000}


KIND = CaptureKind(
    name="sched",
    answers="When do threads run, how long do they wait for a CPU, who wakes them?",
    cost="about 1 µs each time that a thread gets and leaves the CPU",
    probes=(
        "tp_btf/sched_switch",
        "tp_btf/sched_waking",
        "tp_btf/sched_wakeup",
        "tp_btf/sched_wakeup_new",
        "tp_btf/sched_migrate_task",
    ),
    parameters=(
        Parameter("aggregate", False, "count in the kernel by thread, send no events"),
        Parameter("min_us", 0, "leave out runs that waited less, in µs", low=0, high=10**9),
    ),
    settings=_settings,
    ring_bytes=1 << 23,
    source="workbench.recorder.sched_source:SchedSource",
    aggregation=Aggregation(
        when="aggregate",
        map="aggregates",
        key="aggregate_key",
        value="aggregate_value",
        table="sched_agg",
        count="runs",
    ),
)
