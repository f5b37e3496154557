"""Messages in protobuf as JSON, by the column: from pieces of wire format to pieces of text.

Each piece of text ends in a comma, which the end of what it stands in overwrites in place: a
message is ``{``, its fields and a comma too many, of which two the first becomes ``}``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from google.protobuf.descriptor import FieldDescriptor
from numpy.typing import NDArray

from workbench.formats.otlp import wire
from workbench.formats.otlp.transcoding import json_scalars as scalars
from workbench.formats.otlp.transcoding.json_schema import Field, Plan
from workbench.formats.otlp.transcoding.json_values import different
from workbench.formats.otlp.transcoding.wire_fields import PADDING, Found, Walk
from workbench.formats.otlp.transcoding.wire_varints import Integers, Irregular

if TYPE_CHECKING:
    import pyarrow as pa

MAX_DEPTH = 100
"""Messages within each other, as protobuf has it."""
_AT_ONCE = 8192
"""Messages that are made at a time, so that what is needed on the way does not grow with them."""
_REPEATING = 256
"""Bytes that messages have on average at most which are looked through for equal ones."""


def one_object(plan: Plan, data: NDArray[np.uint8], start: int, end: int) -> list[bytes]:
    """Return one message as a JSON object, in pieces.

    The outermost messages hold each other one by one, and all the others: what is in them is not
    copied with each.

    Parameters
    ----------
    plan, data, start, end
        As of :func:`objects`.

    Raises
    ------
    Irregular
        The message is not as protobuf's own classes write it.
    """
    return [b"{", *_fields_of_one(plan, data, start, end, 0), b"}"]


def _fields_of_one(
    plan: Plan, data: NDArray[np.uint8], start: int, end: int, depth: int
) -> list[bytes]:
    if depth > MAX_DEPTH:
        raise Irregular
    pieces: list[Any] = []
    for field, found in _found(plan, data, np.array([start]), np.array([end])):
        if field.descriptor is not None and len(found.rows) == 1:
            ends = (b"[{", b"}],") if field.repeated else (b"{", b"},")
            at, stop = int(found.start[0]), int(found.end[0])
            inside = _fields_of_one(field.plan, data, at, stop, depth + 1)
            pieces += [field.name, ends[0], *inside, ends[1]]
            continue
        if field.descriptor is not None:
            pieces += [field.name, b"[", *_listed(field, data, found, depth), b"],"]
            continue
        for part in _field(field, data, found, 1, depth):
            whole = isinstance(part, bytes)
            pieces.append(part if whole else memoryview(part[0].as_buffer()))
    if pieces:
        pieces[-1] = pieces[-1][:-1]  # the last comma
    return pieces


def _listed(field: Field, data: NDArray[np.uint8], found: Found, depth: int) -> list[Any]:
    """Return many messages as objects with commas between them, in pieces."""
    pieces: list[Any] = []
    for first in range(0, len(found.rows), _AT_ONCE):
        some = slice(first, first + _AT_ONCE)
        part = Found(found.rows[some], found.start[some], found.end[some])
        offsets, text = wire.buffers(_messages(field, data, part, depth))
        pieces.append(text[int(offsets[0]) : int(offsets[-1])].data)
    pieces[-1] = pieces[-1][:-1]
    return pieces


def objects(
    plan: Plan, data: NDArray[np.uint8], starts: Integers, ends: Integers, depth: int = 0
) -> pa.BinaryArray:
    """Return messages of one type as JSON objects, each with a comma behind it.

    Parameters
    ----------
    plan : Plan
        Of their type.
    data : numpy.ndarray
        uint8, all bytes, and :data:`~workbench.formats.otlp.transcoding.wire_fields.PADDING` more.
    starts, ends : numpy.ndarray
        int64: message ``i`` is ``data[starts[i]:ends[i]]``; in order.
    depth : int
        In how many other messages they are.

    Raises
    ------
    Irregular
        They are not as protobuf's own classes write them.
    """
    if depth > MAX_DEPTH:
        raise Irregular
    parts: list[wire.Part] = [b"{"]
    for field, found in _found(plan, data, starts, ends):
        parts += _field(field, data, found, len(starts), depth)
    return _closed(_joined([*parts, b","], len(starts)))


def _found(
    plan: Plan, data: NDArray[np.uint8], starts: Integers, ends: Integers
) -> list[tuple[Field, Found]]:
    """Return the fields of messages, each at most once in a message unless it is repeated."""
    given = [(plan[key], found) for key, found in Walk(data, starts, ends, plan).fields()]
    taken: dict[str, list[Integers]] = {}
    for field, found in given:
        # Twice in a message: the last one counts, or they are merged.
        if (field.packed or not field.repeated) and (np.diff(found.rows) == 0).any():
            raise Irregular
        if field.oneof:
            taken.setdefault(field.oneof, []).append(found.rows)
    for rows in taken.values():
        if len(rows) > 1 and np.bincount(np.concatenate(rows)).max() > 1:
            raise Irregular
    return given


def _joined(parts: Iterable[wire.Part], count: int) -> pa.BinaryArray:
    """Return parts joined row by row, constant ones first with each other."""
    import pyarrow as pa

    merged: list[wire.Part] = []
    for part in parts:
        if isinstance(part, bytes) and merged and isinstance(merged[-1], bytes):
            merged[-1] += part
        else:
            merged.append(part)
    if len(merged) > 1:
        return wire.join(*merged)
    (only,) = merged
    return pa.repeat(pa.scalar(only, pa.binary()), count) if isinstance(only, bytes) else only


def _closed(rows: pa.BinaryArray) -> pa.BinaryArray:
    """Return objects whose last comma but one became a bracket."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not len(rows):
        return rows
    sizes = np.asarray(wire.lengths(rows))
    if sizes.min() == len(b"{,"):
        rows = pc.if_else(pa.array(sizes == len(b"{,")), b"{},", rows)
    return _overwritten(rows, np.arange(1, len(rows) + 1), -2, b"}")


def _overwritten(
    rows: pa.BinaryArray, ends: Integers, back: int, character: bytes
) -> pa.BinaryArray:
    """Return a column in which a byte before the end of some rows is another one."""
    offsets, data = wire.buffers(rows)
    raw = data if data.flags.writeable else data.copy()
    raw[offsets[ends] + back] = ord(character)
    return wire.column(offsets, raw)


def _field(
    field: Field, data: NDArray[np.uint8], found: Found, count: int, depth: int
) -> list[wire.Part]:
    """Return a field of all messages, in parts."""
    if field.repeated:
        rows, parts = _list(field, data, found, depth)
    else:
        rows, parts = found.rows, _value(field, data, found, depth)
        if not field.presence:  # a default value that was written is as good as none
            given = scalars.not_default(field, data, found)
            if not given.all():
                if not given.any():
                    return []
                chosen = Found(rows[given], found.start[given], found.end[given])
                rows, parts = chosen.rows, _value(field, data, chosen, depth)
    if not len(rows):
        return []
    parts = [field.name, *parts]
    return parts if len(rows) == count else [_spread(_joined(parts, len(rows)), rows, count)]


def _spread(pieces: pa.BinaryArray, rows: Integers, count: int) -> pa.BinaryArray:
    """Return pieces of some rows as a column of all rows, null in others."""
    import pyarrow as pa

    place = np.full(count, -1)
    place[rows] = np.arange(len(rows))
    return pieces.take(pa.array(place, mask=place < 0))


def _value(field: Field, data: NDArray[np.uint8], found: Found, depth: int) -> list[wire.Part]:
    """Return single values as JSON, each with a comma, in parts."""
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        return [_messages(field, data, found, depth)]
    return scalars.single(field, data, found)


def _messages(field: Field, data: NDArray[np.uint8], found: Found, depth: int) -> pa.BinaryArray:
    """Return messages as objects; where they repeat themselves, each different one is made once."""
    start, end = found.start, found.end
    codes = None
    if len(start) and int((end - start).sum()) <= _REPEATING * len(start):
        column, codes = different(wire.pieces(data, start, end))
        if codes is not None:
            offsets, raw = wire.buffers(column)
            data = np.concatenate([raw[: int(offsets[-1])], np.frombuffer(PADDING, np.uint8)])
            start, end = offsets[:-1].astype(np.int64), offsets[1:].astype(np.int64)
    made = objects(field.plan, data, start, end, depth + 1)
    return made if codes is None else wire.repeated(made, codes)


def _list(
    field: Field, data: NDArray[np.uint8], found: Found, depth: int
) -> tuple[Integers, list[wire.Part]]:
    """Return the lists that are not empty: their rows, and what they hold as JSON, in parts."""
    if field.packed:
        parts, counts = scalars.packed(field, data, found)
        items = _joined(parts, int(counts.sum()))
        rows, counts = found.rows[counts > 0], counts[counts > 0]
    else:
        items = _joined(_value(field, data, found, depth), len(found.rows))
        rows, counts = np.unique(found.rows, return_counts=True)
    items = _overwritten(items, np.cumsum(counts), -1, b"]")
    return rows, [b"[", wire.lists(counts, items), b","]
