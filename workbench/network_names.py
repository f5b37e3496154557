"""Names of the codes that the programs on sockets send, in the order of their C enums.

The kernel's own names where there are some; the last of each stands for codes that are not known.
"""

from __future__ import annotations

FAMILIES = ("other", "ipv4", "ipv6", "unix")
"""``enum wb_family`` of ``bpf/socket.bpf.h``."""
TCP_EVENTS = (
    "state",
    "connect",
    "accept",
    "closed",
    "open",
    "sample",
    "retransmit",
    "reset_sent",
    "reset_received",
    "congestion",
    "drop",
)
"""``enum wb_tcp_event`` of ``bpf/tcp.bpf.h``."""
TCP_STATES = (
    "none",
    "established",
    "syn_sent",
    "syn_recv",
    "fin_wait1",
    "fin_wait2",
    "time_wait",
    "close",
    "close_wait",
    "last_ack",
    "listen",
    "closing",
    "new_syn_recv",
    "other",
)
"""``include/net/tcp_states.h``."""
CONGESTION = ("open", "disorder", "cwr", "recovery", "loss", "other")
"""``enum tcp_ca_state`` of ``include/uapi/linux/tcp.h``."""
ROLES = ("unknown", "client", "server", "listener")
"""``enum wb_role`` of ``bpf/tcp.bpf.h``."""
REASONS = ("none", "syn", "synack", "timeout", "fast", "probe", "other")
"""``enum wb_reason`` of ``bpf/tcp.bpf.h``, without those whose names the running kernel tells."""
DIRECTIONS = ("send", "receive", "other")
"""``enum wb_direction`` of ``bpf/socket_calls.bpf.h``."""
PROTOCOLS = ("other", "tcp", "udp", "unix", "icmp", "sctp", "mptcp")
"""``enum wb_protocol`` of ``bpf/socket_calls.bpf.h``."""

TEXTS: dict[str, tuple[str, ...]] = {
    "wb_family": FAMILIES,
    "wb_tcp_event": TCP_EVENTS,
    "wb_tcp_state": TCP_STATES,
    "wb_congestion": CONGESTION,
    "wb_role": ROLES,
    "wb_reason": REASONS,
    "wb_direction": DIRECTIONS,
    "wb_protocol": PROTOCOLS,
}
"""Names by the C typedef of the field."""
