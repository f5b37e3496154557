"""A recording with a row or two of each kind that the report shows as tables."""

from __future__ import annotations

from typing import Any

import polars as pl
from fake_recording import FakeRecording
from network_rows import table

ROWS = {
    "exec": [{"ts": 1, "event": "exec", "pid": 5, "comm": "<a>", "cmdline": "a b"},
             {"ts": 2, "event": "fork", "pid": 6, "ppid": 5, "comm": "kid"}],
    "sched": [{"tid": n, "pid": 7, "cause": "woken", "waker": "interrupt", "latency": 1000 + n}
              for n in range(1, 31)],
    "locks": [{"event": "wait", "type": "futex", "lock": 255, "waited": 2000, "open": 1}],
    "irq": [{"type": "softirq", "irq": 3, "duration": 3000, "handler": ""}],
    "signals": [{"event": "generated", "signal": 10, "result": "queued"}],
    "block": [{"device": "vda", "op": "write", "bytes": 4096, "queued": 7000}],
    "files": [{"path": "/no/<such>", "op": "open", "ret": -2, "errno": 2, "latency": 10}],
    "pagecache": [{"path": "/bin/cat", "op": "lookup", "pages": 1234}],
}  # fmt: skip


NETWORK: dict[str, list[dict[str, Any]]] = {
    "tcp": [{"event": "closed", "role": "client", "remote_address": "192.0.2.7", "errno": 104}],
    "sockets": [{"name": "sendmsg", "direction": "send", "protocol": "unix", "bytes": 3000}],
    "dns": [{"message": "query", "direction": "send", "qname": "a.test", "qtype": "AAAA"}],
    "http": [{"message": "answer", "direction": "receive", "path": "/<x>", "status": 503}],
    "memory": [
        {"op": "alloc", "size": 30_000, "address": at, "ts": at, "born": at} for at in (1, 2)
    ],
}  # fmt: skip


def frame(kind: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Rows of NETWORK as the table of a kind."""
    made = table(kind, rows)
    return made.with_columns(stack_id=pl.lit(7, pl.UInt32)) if kind == "memory" else made


def recording() -> FakeRecording:
    """A recording of every kind."""
    network = {kind: frame(kind, rows) for kind, rows in NETWORK.items()}
    return FakeRecording(**ROWS, **network, processes=[{"event": "fork", "pid": 5}])
