"""DNS: which names are asked for, how it goes, how long the answer takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.kinds._kind import Aggregation, CaptureKind, Parameter
from workbench.kinds._socket_calls import COST, PROBES, socket_calls

if TYPE_CHECKING:
    from collections.abc import Mapping


def _settings(parameters: Mapping[str, Any], machine: str) -> dict[str, Any]:
    return {
        "wb_socket_calls": socket_calls(machine),
        "dns_port": parameters["dns_port"],
        "aggregate": int(parameters["aggregate"]),
    }


KIND = CaptureKind(
    name="dns",
    answers="Which names are looked up by UDP, by whom, what is the answer, how long does it take?",
    cost=COST,
    probes=PROBES,
    parameters=(
        Parameter("dns_port", 53, "UDP port of the servers", low=1, high=65535),
        Parameter(
            "aggregate",
            False,
            "count in the kernel by process, name, type and other side, send no events",
        ),
    ),
    settings=_settings,
    ring_bytes=1 << 22,
    aggregation=Aggregation(
        when="aggregate",
        map="aggregates",
        key="aggregate_key",
        value="aggregate_value",
        table="dns_agg",
        count="messages",
    ),
)
