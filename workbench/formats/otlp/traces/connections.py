"""TCP connections as spans, and whose connection a request is on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from workbench.formats.otlp import attributes as of
from workbench.formats.otlp.identity import Ids, hashed, seed_of
from workbench.formats.otlp.lives import Lives
from workbench.formats.otlp.slices import chosen, integers, is_text, slices
from workbench.formats.otlp.traces import spans
from workbench.formats.otlp.traces.spans import ATTRIBUTE as AT
from workbench.formats.otlp.traces.thread_spans import errors, weights
from workbench.frames.needs import has

if TYPE_CHECKING:
    import pyarrow as pa

    from workbench.formats.otlp.lives import People, Trace
    from workbench.recording import Recording

ENDS = ("local_address", "local_port", "remote_address", "remote_port", "family")
WHERE = ("ts", "pid", "tid", "comm", "weight")
_COUNTERS = ("bytes_sent", "bytes_received", "bytes_retrans", "retransmits", "rtt")
TCP = (*WHERE, "start", "socket", "inode", "event", "state", "role", "errno", *ENDS, *_COUNTERS)
"""Columns of ``tcp``."""
LAST = ("closed", "open")
"""The last row of a connection, at its end or at that of the capture."""


def connection_rows(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the last row of each connection, without listening sockets."""
    return chosen(batch, is_text(batch, "event", *LAST) & ~is_text(batch, "role", "listener"))


def connection_ids(people: People, batch: pa.RecordBatch) -> Ids:
    """Return the span of the connection that each row of ``tcp`` is about."""
    seed = seed_of(people.session, "tcp")
    return hashed(seed, *(integers(batch, name) for name in ("socket", "start", "inode")))


def connections(people: People, batch: pa.RecordBatch) -> spans.Spans | None:
    """Return a span per connection; it failed where it ended with an errno."""
    batch = connection_rows(batch)
    if not batch.num_rows:
        return None
    ts, pid = integers(batch, "ts"), integers(batch, "pid")
    process = people.process(pid, ts)
    client, server = is_text(batch, "role", "client"), is_text(batch, "role", "server")
    failure = errors(batch.column("errno"))
    return spans.Spans(
        trace=people.trace(process, pid),
        span=connection_ids(people, batch),
        parent=people.process_span(process),
        start=integers(batch, "start"),
        end=np.maximum(ts, integers(batch, "start")),
        name=of.prefixed("tcp ", batch.column("role")),
        kind=np.select([client, server], [spans.CLIENT, spans.SERVER], spans.INTERNAL),
        attributes=[
            of.numbers(AT, "process.pid", batch.column("pid")),
            of.texts(AT, "thread.name", batch.column("comm")),
            *weights(batch),
            of.key_values(AT, {"network.transport": "tcp"}),
            *both_ends(batch, server=server),
            of.texts(AT, "workbench.tcp.state", batch.column("state")),
            *(of.counts(AT, f"workbench.tcp.{name}", integers(batch, name)) for name in _COUNTERS),
            of.texts(AT, "error.type", failure),
        ],
        more=[spans.statuses(failure)],
    )


def both_ends(batch: pa.RecordBatch, *, server: NDArray[np.bool_]) -> list[Any]:
    """Return the attributes of both ends of a connection: who serves is this side, or not."""
    import pyarrow as pa
    import pyarrow.compute as pc

    here, there = (
        (
            of.known_address(batch.column(f"{side}_address")),
            of.nonzero(batch.column(f"{side}_port")),
        )
        for side in ("local", "remote")
    )
    mask = pa.array(server)
    serves, asks = (
        tuple(pc.if_else(which, a, b) for a, b in zip(here, there, strict=True))
        for which in (mask, pc.invert(mask))
    )
    ends = {
        "server": serves,
        "client": asks,
        "network.local": here,
        "network.peer": there,
    }
    made = []
    for name, (address, port) in ends.items():
        made += [of.texts(AT, f"{name}.address", address), of.numbers(AT, f"{name}.port", port)]
    return [*made, of.texts(AT, "network.type", batch.column("family"))]


def _end(batch: pa.RecordBatch, side: str) -> tuple[Any, Any]:
    """Return address and port of one side, null where there is none."""
    address, port = batch.column(f"{side}_address"), batch.column(f"{side}_port")
    return of.known_address(address), of.nonzero(port)


class Connections:
    """The connections of a session by the inode of their socket.

    Parameters
    ----------
    rec : Recording
        Without the table ``tcp`` none is found.
    people : People
        Whose they are.
    """

    def __init__(self, rec: Recording, people: People) -> None:
        parts = []
        if has(rec, "tcp") and {"inode", "start", "socket"} <= set(rec["tcp"].schema.names):
            for batch in slices(rec.whole, "tcp", *TCP):
                rows = connection_rows(batch)
                pid, ts = integers(rows, "pid"), integers(rows, "ts")
                trace = people.trace(people.process(pid, ts), pid)
                key = (integers(rows, name).astype(np.uint64) for name in ("inode", "start"))
                parts.append(np.stack([*key, connection_ids(people, rows), *trace]))
        found = np.concatenate(parts, axis=1) if parts else np.zeros((5, 0), np.uint64)
        found = found[:, found[0] != 0]
        self._lives = Lives(found[0], found[1])
        self._ids = np.concatenate([found[2:], np.zeros((3, 1), np.uint64)], axis=1)

    def find(self, inode: Any, ts: Any) -> tuple[Ids, Trace]:
        """Return the span and the trace of each event's connection, 0 where it is not known."""
        span, first, second = self._ids[:, self._lives.find(inode, ts)]
        return span, (first, second)
