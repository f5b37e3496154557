"""Spans: columns of identifiers, times and attributes as ``Span`` messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from workbench.formats.otlp import wire
from workbench.formats.otlp.pack import ITEM

if TYPE_CHECKING:
    import pyarrow as pa

    from workbench.formats.otlp.identity import Ids

INTERNAL, SERVER, CLIENT = 1, 2, 3
"""``SpanKind``."""
ERROR = 2
"""``StatusCode``."""
NAME, ATTRIBUTE, LINK, STATUS = 5, 9, 13, 15
"""Fields of ``Span``."""
_FLAGS = 0x101
"""Sampled, and the parent is known not to be remote (``SpanFlags``)."""

_HEAD = np.dtype(
    [
        ("trace_key", "V2"),
        ("trace_1", ">u8"),
        ("trace_2", ">u8"),
        ("span_key", "V2"),
        ("span", ">u8"),
        ("start_key", "V1"),
        ("start", "<u8"),
        ("end_key", "V1"),
        ("end", "<u8"),
        ("flags", "V6"),
        ("kind_key", "V1"),
        ("kind", "u1"),
    ]
)
"""What every span has, of one width."""
_CONSTANTS = {
    "trace_key": wire.tag(1, wire.DELIMITED) + b"\x10",
    "span_key": wire.tag(2, wire.DELIMITED) + b"\x08",
    "start_key": wire.tag(7, wire.FIXED64),
    "end_key": wire.tag(8, wire.FIXED64),
    "flags": wire.tag(16, wire.FIXED32) + _FLAGS.to_bytes(4, "little"),
    "kind_key": wire.tag(6, wire.VARINT),
}


@dataclass(frozen=True)
class Spans:
    """Columns of spans.

    Parameters
    ----------
    trace : (numpy.ndarray, numpy.ndarray)
        uint64, both halves of the trace id.
    span, parent : numpy.ndarray
        uint64; a parent of 0 is none.
    start, end : numpy.ndarray
        int64, ns UTC.
    name : pyarrow.Array
        Strings, or a dictionary of them.
    kind : int or numpy.ndarray
        :data:`INTERNAL`, :data:`SERVER` or :data:`CLIENT`.
    attributes : sequence of column or bytes
        See :mod:`workbench.formats.otlp.attributes`, for the field :data:`ATTRIBUTE`.
    more : sequence of column
        Links and the status, null where a span has none.
    """

    trace: tuple[Ids, Ids]
    span: Ids
    parent: Ids
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    name: Any
    kind: Any = INTERNAL
    attributes: Sequence[wire.Part] = field(default=())
    more: Sequence[wire.Part] = field(default=())


def encoded(spans: Spans) -> pa.BinaryArray:
    """Return each span as an item of its scope."""
    return wire.message(
        ITEM,
        _head(spans),
        _parent(spans.parent),
        _named(spans.name),
        *spans.attributes,
        *spans.more,
    )


def _head(spans: Spans) -> pa.BinaryArray:
    rows = np.empty(len(spans.span), _HEAD)
    for name, value in _CONSTANTS.items():
        rows[name] = np.frombuffer(value, f"V{len(value)}")[0]
    rows["trace_1"], rows["trace_2"] = spans.trace
    rows["span"] = spans.span
    rows["start"], rows["end"] = wire.bits(spans.start), wire.bits(spans.end)
    rows["kind"] = spans.kind
    return wire.block(rows)


def _parent(parent: Ids) -> pa.BinaryArray:
    rows = np.empty(len(parent), [("key", "V2"), ("span", ">u8")])
    rows["key"] = np.frombuffer(wire.tag(4, wire.DELIMITED) + b"\x08", "V2")[0]
    rows["span"] = parent
    return wire.present(wire.block(rows), parent != 0)


def _named(name: Any) -> pa.BinaryArray:
    import pyarrow as pa

    from workbench.formats.otlp.attributes import coded, plain_texts

    values, codes = coded(name)
    return wire.repeated(wire.optional(NAME, plain_texts(values).cast(pa.binary())), codes)


def statuses(names: Any) -> pa.BinaryArray:
    """Return the status of each span: an error with a message, null where the message is null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from workbench.formats.otlp.attributes import coded, plain_texts

    values, codes = coded(names)
    texts = plain_texts(values).cast(pa.binary())
    made = wire.message(STATUS, wire.optional(2, texts), wire.integer(3, ERROR))
    return wire.repeated(pc.if_else(pc.is_valid(texts), made, None), codes)


def failed(mask: NDArray[np.bool_]) -> pa.BinaryArray:
    """Return the status of each span, an error without a message where the mask is set."""
    error = np.frombuffer(wire.field(STATUS, wire.integer(3, ERROR)), np.uint8)
    return wire.present(wire.block(np.tile(error, (len(mask), 1))), mask)


def links(trace: tuple[Ids, Ids], span: Ids) -> pa.BinaryArray:
    """Return a link to another span in every row, null where that is 0."""
    rows = np.empty(
        len(span),
        [("a", "V2"), ("t1", ">u8"), ("t2", ">u8"), ("b", "V2"), ("span", ">u8"), ("flags", "V5")],
    )
    rows["a"] = np.frombuffer(wire.tag(1, wire.DELIMITED) + b"\x10", "V2")[0]
    rows["b"] = np.frombuffer(wire.tag(2, wire.DELIMITED) + b"\x08", "V2")[0]
    flags = wire.tag(6, wire.FIXED32) + _FLAGS.to_bytes(4, "little")
    rows["flags"] = np.frombuffer(flags, "V5")[0]
    (rows["t1"], rows["t2"]), rows["span"] = trace, span
    return wire.present(wire.message(LINK, wire.block(rows)), span != 0)
