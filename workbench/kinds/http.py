"""Plain HTTP/1: requests and answers with latency.

The only kind, beside ``dns``, that reads what sockets carry, so it is never part of another one:
who wants it names it. ``bpf/http.bpf.c`` says what is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.kinds._kind import Aggregation, CaptureKind, Parameter
from workbench.kinds._socket_calls import COST, PROBES, socket_calls

if TYPE_CHECKING:
    from collections.abc import Mapping


def _settings(parameters: Mapping[str, Any], machine: str) -> dict[str, Any]:
    return {
        "wb_socket_calls": socket_calls(machine),
        "http_port": parameters["http_port"],
        "with_query": int(parameters["with_query"]),
        "aggregate": int(parameters["aggregate"]),
    }


KIND = CaptureKind(
    name="http",
    answers="Which plain HTTP/1 requests are made and served, with which status, how fast?",
    cost=COST,
    probes=PROBES,
    parameters=(
        Parameter("http_port", 0, "port of the servers; 0: any", low=0, high=65535),
        Parameter("with_query", False, "keep the query of paths, which may hold names and secrets"),
        Parameter(
            "aggregate",
            False,
            "count in the kernel by process, path, status and other side, send no events",
        ),
    ),
    settings=_settings,
    ring_bytes=1 << 22,
    aggregation=Aggregation(
        when="aggregate",
        map="aggregates",
        key="aggregate_key",
        value="aggregate_value",
        table="http_agg",
        count="messages",
    ),
)
