"""Requests to block devices: each as an event, or counts and histograms made in the kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.kinds._kind import Aggregation, CaptureKind, Parameter

if TYPE_CHECKING:
    from collections.abc import Mapping


def _settings(parameters: Mapping[str, Any], _machine: str) -> dict[str, Any]:
    return {"aggregate": int(parameters["aggregate"])}


KIND = CaptureKind(
    name="block",
    answers="Which disk requests does the program cause, how long do they wait, how long does "
    "the device take?",
    cost="about 1.5 µs a request",
    probes=(
        "tp_btf/block_io_start",
        "tp_btf/block_rq_insert",
        "tp_btf/block_rq_issue",
        "tp_btf/block_rq_merge",
        "tp_btf/block_rq_complete",
        "tp_btf/writeback_dirty_folio",
    ),
    parameters=(Parameter("aggregate", False, "count in the kernel, send no events"),),
    settings=_settings,
    ring_bytes=1 << 22,
    source="workbench.recorder.block_source:BlockSource",
    arguments={"block_rq_issue": 1},  # before Linux 5.11 the queue stood before the request
    aggregation=Aggregation(
        when="aggregate",
        map="aggregates",
        key="aggregate_key",
        value="aggregate_value",
        table="block_agg",
        count="requests",
        source="workbench.recorder.block_source:BlockAggregateSource",
    ),
)
