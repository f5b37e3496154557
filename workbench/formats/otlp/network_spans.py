"""Connections, HTTP requests and DNS queries as spans.

A connection is the child of its process, a request of its connection where that is known, else,
as a query, of its thread. The time of a request is that between the two messages that were seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from workbench.formats.otlp import attributes as of
from workbench.formats.otlp import spans
from workbench.formats.otlp.identity import Ids, hashed, seed_of
from workbench.formats.otlp.lives import Lives
from workbench.formats.otlp.pairs import Pairs
from workbench.formats.otlp.slices import chosen, integers, is_text, slices
from workbench.formats.otlp.spans import ATTRIBUTE as AT
from workbench.formats.otlp.thread_spans import errors, thread_attributes, weights
from workbench.frames.needs import has

if TYPE_CHECKING:
    import pyarrow as pa

    from workbench.formats.otlp.lives import People, Trace
    from workbench.recording import Recording

_ENDS = ("local_address", "local_port", "remote_address", "remote_port", "family")
_WHERE = ("ts", "pid", "tid", "comm", "weight")
_CALL = (*_WHERE, "cpu", "latency", "size", "inode", "direction", "message", *_ENDS)
_COUNTERS = ("bytes_sent", "bytes_received", "bytes_retrans", "retransmits", "rtt")
TCP = (*_WHERE, "start", "socket", "inode", "event", "state", "role", "errno", *_ENDS, *_COUNTERS)
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
            *_both_ends(batch, server=server),
            of.texts(AT, "workbench.tcp.state", batch.column("state")),
            *(of.counts(AT, f"workbench.tcp.{name}", integers(batch, name)) for name in _COUNTERS),
            of.texts(AT, "error.type", failure),
        ],
        more=[spans.statuses(failure)],
    )


def _both_ends(batch: pa.RecordBatch, *, server: NDArray[np.bool_]) -> list[Any]:
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
        if has(rec, "tcp"):
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


@dataclass(frozen=True)
class Paired:
    """A table in which a question and its answer are a row each.

    Parameters
    ----------
    table, question : str
        Its name, and what questions are called in the column ``message``.
    key : tuple of str
        Columns that an answer has in common with its question, besides the socket.
    columns : tuple of str
        Columns that are read.
    describe : callable
        (rows, which of them are a client's, which are answers) to name, attributes and status.
    """

    table: str
    question: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    describe: Callable[[Any, NDArray[np.bool_], NDArray[np.bool_]], tuple[Any, list[Any], Any]]


def paired_spans(rec: Recording, people: People, paired: Paired) -> Iterator[pa.BinaryArray]:
    """Yield a span per answer, and one per question without an answer, which takes no time.

    Questions whose answer is not among the rows are kept until all rows were seen.
    """
    known = Connections(rec, people)
    pairs = Pairs()
    for batch in slices(rec, paired.table, *paired.columns):
        asks = is_text(batch, "message", paired.question)
        client = asks == is_text(batch, "direction", "send")
        begun = integers(batch, "ts") - np.where(asks, 0, integers(batch, "latency"))
        keys = hashed(
            seed_of(people.session, paired.table),
            integers(batch, "inode"),
            client.astype(np.int64),
            begun,
            *(integers(batch, name) for name in paired.key),
        )
        pairs.asked(chosen(batch, asks), keys[asks])
        pairs.answered(keys[~asks & (integers(batch, "latency") != 0)])
        answers = chosen(batch, ~asks)
        if answers.num_rows:
            # An answer whose question was not seen is told apart from a question of that time.
            lone = integers(answers, "latency") == 0
            ids = np.where(lone, hashed(np.uint64(1), keys[~asks]), keys[~asks])
            yield spans.encoded(_spans(people, known, paired, answers, ids))
    for batch, ids in pairs.unanswered():
        yield spans.encoded(_spans(people, known, paired, batch, ids))


def _spans(
    people: People, known: Connections, paired: Paired, batch: pa.RecordBatch, ids: Ids
) -> spans.Spans:
    asks = is_text(batch, "message", paired.question)
    client = asks == is_text(batch, "direction", "send")
    ts, latency = integers(batch, "ts"), np.where(asks, 0, integers(batch, "latency"))
    own, thread = people.owners(integers(batch, "pid"), integers(batch, "tid"), ts - latency)
    connection, theirs = known.find(integers(batch, "inode"), ts - latency)
    inside = connection != 0
    name, described, status = paired.describe(batch, client, ~asks)
    return spans.Spans(
        trace=(np.where(inside, theirs[0], own[0]), np.where(inside, theirs[1], own[1])),
        span=ids,
        parent=np.where(inside, connection, thread),
        start=ts - latency,
        end=ts,
        name=name,
        kind=np.where(client, spans.CLIENT, spans.SERVER),
        attributes=[
            *thread_attributes(batch),
            *_both_ends(batch, server=~client),
            *described,
            of.flags(AT, "workbench.unanswered", asks),
        ],
        more=[status],
    )


def _http(
    batch: pa.RecordBatch, client: NDArray[np.bool_], answer: NDArray[np.bool_]
) -> tuple[Any, list[Any], Any]:
    """Describe requests; answers from 500 on are errors, for clients from 400 on."""
    import pyarrow as pa
    import pyarrow.compute as pc

    status = integers(batch, "status")
    bad = answer & (status >= np.where(client, 400, 500))
    values, codes = of.coded(batch.column("method"))
    methods = pc.if_else(pc.equal(values, "other"), "_OTHER", values.cast(pa.string()))
    names = pc.if_else(pc.equal(values, "none"), "HTTP", methods)
    seen = pc.if_else(pc.equal(values, "none"), None, methods)
    paths = batch.column("path")
    path, query = of.split_texts(paths, "?")
    codes_of = pc.if_else(pa.array(answer), pa.array(status), None)
    failure = pc.if_else(pa.array(bad), pa.array(status), None).cast(pa.string())
    attributes = [
        of.texts(AT, "http.request.method", pa.DictionaryArray.from_arrays(codes, seen)),
        of.texts(AT, "url.path", path),
        of.texts(AT, "url.query", query),
        of.numbers(AT, "http.response.status_code", codes_of),
        of.key_values(
            AT,
            {"url.scheme": "http", "network.protocol.name": "http", "network.transport": "tcp"},
        ),
        of.texts(AT, "error.type", failure),
    ]
    return pa.DictionaryArray.from_arrays(codes, names), attributes, spans.failed(bad)


def _dns(
    batch: pa.RecordBatch, _client: NDArray[np.bool_], answer: NDArray[np.bool_]
) -> tuple[Any, list[Any], Any]:
    """Describe queries; response codes besides ``noerror`` are errors."""
    import pyarrow as pa
    import pyarrow.compute as pc

    bad = answer & ~is_text(batch, "rcode", "noerror")
    rcode = batch.column("rcode").cast(pa.string())
    only = pa.array(answer)
    attributes = [
        of.texts(AT, "dns.question.name", batch.column("qname")),
        of.texts(AT, "workbench.dns.question.type", batch.column("qtype")),
        of.texts(AT, "workbench.dns.response_code", pc.if_else(only, rcode, None)),
        of.numbers(AT, "workbench.dns.answers", pc.if_else(only, batch.column("answers"), None)),
        of.key_values(AT, {"network.transport": "udp", "network.protocol.name": "dns"}),
        of.texts(AT, "error.type", pc.if_else(pa.array(bad), rcode, None)),
    ]
    status = spans.statuses(pc.if_else(pa.array(bad), rcode, None))
    return of.prefixed("dns ", batch.column("qtype")), attributes, status


HTTP = Paired("http", "request", (), (*_CALL, "method", "path", "status"), _http)
DNS = Paired("dns", "query", ("id",), (*_CALL, "id", "qname", "qtype", "rcode", "answers"), _dns)
