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
"""``enum wb_role`` of ``bpf/socket.bpf.h``."""
REASONS = ("none", "syn", "synack", "timeout", "fast", "probe", "other")
"""``enum wb_reason`` of ``bpf/tcp.bpf.h``, without those whose names the running kernel tells."""
DIRECTIONS = ("send", "receive", "other")
"""``enum wb_direction`` of ``bpf/socket_calls.bpf.h``."""
PROTOCOLS = ("other", "tcp", "udp", "unix", "icmp", "sctp", "mptcp")
"""``enum wb_protocol`` of ``bpf/socket_calls.bpf.h``."""
DNS_MESSAGES = ("query", "answer", "other")
"""``enum wb_dns_message`` of ``bpf/dns.bpf.c``."""
_KNOWN_CODES = (
    "noerror formerr servfail nxdomain notimp refused yxdomain yxrrset nxrrset notauth notzone "
    "dsotypeni"
)
DNS_CODES = (*_KNOWN_CODES.split(), "code12", "code13", "code14", "code15", "other")
"""Response codes of the header, RFC 1035, 4.1.1; RFC 2136, 2.2; RFC 8490, 10.3."""
_TYPES = {
    1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 10: "NULL", 11: "WKS", 12: "PTR", 13: "HINFO",
    15: "MX", 16: "TXT", 17: "RP", 18: "AFSDB", 24: "SIG", 25: "KEY", 28: "AAAA", 29: "LOC",
    33: "SRV", 35: "NAPTR", 36: "KX", 37: "CERT", 39: "DNAME", 41: "OPT", 42: "APL", 43: "DS",
    44: "SSHFP", 45: "IPSECKEY", 46: "RRSIG", 47: "NSEC", 48: "DNSKEY", 49: "DHCID", 50: "NSEC3",
    51: "NSEC3PARAM", 52: "TLSA", 53: "SMIMEA", 55: "HIP", 59: "CDS", 60: "CDNSKEY",
    61: "OPENPGPKEY", 62: "CSYNC", 63: "ZONEMD", 64: "SVCB", 65: "HTTPS", 99: "SPF",
    249: "TKEY", 250: "TSIG", 251: "IXFR", 252: "AXFR", 255: "ANY", 256: "URI", 257: "CAA",
}  # fmt: skip
DNS_TYPES = (*(_TYPES.get(number, f"TYPE{number}") for number in range(258)), "other")
"""Types of records by number (RFC 1035, 3.2.2 and later ones); others are named by RFC 3597, 5."""
HTTP_MESSAGES = ("request", "answer", "other")
"""``enum wb_http_message`` of ``bpf/http.bpf.c``."""
HTTP_METHODS = (
    "none",
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "DELETE",
    "CONNECT",
    "OPTIONS",
    "TRACE",
    "PATCH",
    "other",
)
"""``enum wb_http_method`` of ``bpf/http.bpf.c``."""

TEXTS: dict[str, tuple[str, ...]] = {
    "wb_family": FAMILIES,
    "wb_tcp_event": TCP_EVENTS,
    "wb_tcp_state": TCP_STATES,
    "wb_congestion": CONGESTION,
    "wb_role": ROLES,
    "wb_direction": DIRECTIONS,
    "wb_protocol": PROTOCOLS,
    "wb_http_message": HTTP_MESSAGES,
    "wb_http_method": HTTP_METHODS,
    "wb_dns_message": DNS_MESSAGES,
    "wb_dns_code": DNS_CODES,
}
"""Names by the C typedef of the field, of columns that are dictionaries."""
NAMES: dict[str, tuple[str, ...]] = {"wb_reason": REASONS, "wb_dns_type": DNS_TYPES}
"""The same of columns that are strings: there may be more than 127."""
