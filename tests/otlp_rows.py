"""Rows of connections, requests and queries with known relations."""

from __future__ import annotations

from otlp_sessions import T0

ENDS = {
    "local_address": "10.0.0.1",
    "local_port": 40000,
    "remote_address": "10.0.0.2",
    "remote_port": 80,
    "family": "ipv4",
    "pid": 1000,
    "tid": 1001,
}
CLIENT = ENDS | {"socket": 1, "inode": 11, "start": T0, "role": "client"}
"""Fields of a connection; its requests have inode 11."""
_ASK = ENDS | {"inode": 11, "message": "request", "direction": "send", "method": "GET"}
_ANSWER = _ASK | {"message": "answer", "direction": "receive", "status": 200}
_SERVED = _ASK | {"direction": "receive", "pid": 2000, "tid": 2000, "inode": 99, "path": "/s"}
HTTP = [
    _ANSWER | {"ts": T0 + 30, "latency": 20, "path": "/a?b=c"},  # before its request
    _ASK | {"ts": T0 + 10, "path": "/a?b=c"},
    _ASK | {"ts": T0 + 40, "path": "/lost"},  # has no answer
    _ANSWER | {"ts": T0 + 60, "method": "none", "status": 404},  # has no request
    _SERVED | {"ts": T0 + 50, "method": "other"},
    _SERVED
    | {"ts": T0 + 55, "method": "other", "message": "answer", "direction": "send"}
    | {"latency": 5, "status": 503},
]
_QUERY = ENDS | {"message": "query", "direction": "send", "remote_port": 53, "inode": 5}
_QUERY |= {"qname": "example.org", "qtype": "AAAA", "rcode": "noerror"}
_REPLY = _QUERY | {"message": "answer", "direction": "receive"}
DNS = [
    _QUERY | {"ts": T0 + 1, "id": 1},
    _QUERY | {"ts": T0 + 1, "id": 2, "qtype": "A"},
    _REPLY | {"ts": T0 + 9, "id": 2, "latency": 8, "rcode": "nxdomain", "qtype": "A"},
]
TCP = [CLIENT | {"ts": T0 + 99, "event": "closed", "state": "close", "bytes_sent": 100}]
