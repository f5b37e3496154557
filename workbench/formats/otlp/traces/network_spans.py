"""HTTP requests and DNS queries as spans.

A request is the child of its connection where that is known, else, as a query, of its thread. The
time of a request is that between the two messages that were seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from workbench.formats.otlp import attributes as of
from workbench.formats.otlp.identity import Ids, hashed, seed_of
from workbench.formats.otlp.slices import chosen, integers, is_text, slices
from workbench.formats.otlp.traces import spans
from workbench.formats.otlp.traces.connections import ENDS, WHERE, Connections, both_ends
from workbench.formats.otlp.traces.pairs import Pairs
from workbench.formats.otlp.traces.spans import ATTRIBUTE as AT
from workbench.formats.otlp.traces.thread_spans import thread_attributes

if TYPE_CHECKING:
    import pyarrow as pa

    from workbench.formats.otlp.lives import People
    from workbench.recording import Recording

_CALL = (*WHERE, "cpu", "latency", "size", "inode", "direction", "message", *ENDS)


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
            *both_ends(batch, server=~client),
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
        of.texts(AT, "url.full", _whole_url(batch, client)),
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


def _whole_url(batch: pa.RecordBatch, client: NDArray[np.bool_]) -> Any:
    """Return the URL that each client asked for: the name that it used is not known."""
    import pyarrow as pa
    import pyarrow.compute as pc

    text = pa.string()
    host = of.known_address(batch.column("remote_address"))
    host = pc.if_else(pc.match_substring(host, ":"), _joined("[", host, "]"), host)
    port = batch.column("remote_port")
    host = pc.if_else(pc.equal(port, 80), host, _joined(host, ":", port.cast(text)))
    path = batch.column("path").cast(text)
    asked = pc.and_(pa.array(client), pc.starts_with(path, "/"))
    return pc.if_else(asked, _joined("http://", host, path), None)


def _joined(*texts: Any) -> Any:
    """Return texts one behind the other, null where one is."""
    import pyarrow.compute as pc

    return pc.binary_join_element_wise(*texts, "")


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
