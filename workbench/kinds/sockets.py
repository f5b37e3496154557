"""Sockets: what is sent and received, how much, how long it takes. Serves UDP and the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.errors import ParameterError
from workbench.kinds._kind import Aggregation, CaptureKind, Parameter
from workbench.kinds._socket_calls import COST, PROBES, socket_calls
from workbench.network_names import PROTOCOLS

if TYPE_CHECKING:
    from collections.abc import Mapping


def _settings(parameters: Mapping[str, Any], machine: str) -> dict[str, Any]:
    unknown = [name for name in parameters["protocols"] if name not in PROTOCOLS]
    if unknown:
        raise ParameterError(
            f"There is no protocol {', '.join(unknown)}.",
            why=f"These are known: {', '.join(PROTOCOLS)}.",
        )
    chosen = {PROTOCOLS.index(name) for name in parameters["protocols"]}
    return {
        "wb_socket_calls": socket_calls(machine),
        "aggregate": int(parameters["aggregate"]),
        "by_protocol": int(bool(chosen)),
        "protocols": sum(1 << number for number in chosen),
    }


KIND = CaptureKind(
    name="sockets",
    answers="What does the program send and receive on TCP, UDP, Unix and other sockets, how much, "
    "with whom, and how long does it take?",
    cost=COST,
    probes=PROBES,
    parameters=(
        Parameter("protocols", (), f"those to capture: {', '.join(PROTOCOLS[1:])}, other"),
        Parameter("aggregate", False, "count in the kernel, send no events"),
    ),
    settings=_settings,
    ring_bytes=1 << 24,
    aggregation=Aggregation(
        when="aggregate",
        map="aggregates",
        key="aggregate_key",
        value="aggregate_value",
        table="sockets_agg",
        count="calls",
    ),
    derived=("name", "errno"),
)
