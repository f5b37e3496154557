"""TCP connections: their lives, times, bytes, losses and resets.

Of a process tree, sockets that are open when the capture begins are known from the start. Targets
that are named by cgroup or thread name own such a socket from its first use on; what connects to a
listener of theirs that was there before is known once it is accepted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.kinds._kind import Aggregation, CaptureKind, Parameter
from workbench.syscalls_table import number_of

if TYPE_CHECKING:
    from collections.abc import Mapping


def _settings(parameters: Mapping[str, Any], machine: str) -> dict[str, Any]:
    numbers = number_of(machine)
    return {
        "sample_ns": parameters["sample_ms"] * 1_000_000,
        "states": int(parameters["states"] and not parameters["aggregate"]),
        "aggregate": int(parameters["aggregate"]),
        "nr_accept": numbers["accept"],
        "nr_accept4": numbers["accept4"],
    }


KIND = CaptureKind(
    name="tcp",
    answers="Which TCP connections are made, how long do they live, what do they carry, and what "
    "goes wrong: retransmits, resets, drops?",
    cost="about 10 µs a connection with its changes of state and 0.3 µs a segment; 0.1 µs each "
    "system call of any program",
    probes=(
        "tp_btf/inet_sock_set_state",
        "tp_btf/sys_exit",
        "tp_btf/sock_send_length",
        "tp_btf/sock_recv_length",
        "tp_btf/tcp_probe",
        "tp_btf/tcp_retransmit_skb",
        "tp_btf/tcp_retransmit_synack",
        "tp_btf/tcp_send_reset",
        "tp_btf/tcp_receive_reset",
        "tp_btf/tcp_cong_state_set",
        "tp_btf/tcp_destroy_sock",
        "tp_btf/kfree_skb",
        "iter/task_file",
    ),
    parameters=(
        Parameter(
            "sample_ms",
            100,
            "least time between samples of a connection's counters, in ms; 0: each segment",
            low=0,
            high=10**6,
        ),
        Parameter("states", True, "send the changes of state"),
        Parameter(
            "aggregate",
            False,
            "count in the kernel by process, role, other side and service, send no events",
        ),
    ),
    settings=_settings,
    ring_bytes=1 << 22,
    source="workbench.recorder.tcp_source:TcpSource",
    aggregation=Aggregation(
        when="aggregate",
        map="aggregates",
        key="aggregate_key",
        value="aggregate_value",
        table="tcp_agg",
        count="events",
        source="workbench.recorder.tcp_source:TcpAggregateSource",
    ),
)
