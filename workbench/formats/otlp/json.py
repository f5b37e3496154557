"""Requests as OTLP JSON: the JSON mapping of protobuf, with ids in hex and enums as numbers.

The rules are those of *JSON Protobuf Encoding* in the OTLP specification: names in
lowerCamelCase, 64-bit integers as decimal strings, bytes as base64 but for the ids of traces,
spans and profiles, which are hex, enums as integers. As in protobuf's own mapping, fields without
a value are left out.
"""

from __future__ import annotations

import json
import math
from base64 import b64encode
from collections.abc import Callable
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError

from workbench.errors import ExportError
from workbench.formats.otlp.signals import Signal

HEX_FIELDS = frozenset({"trace_id", "span_id", "parent_span_id", "profile_id"})
"""Bytes that are written in hex, as the specification (trace and span ids, wherever they are) and
the collector of OpenTelemetry (profile ids, too) have it."""

_LONG = {
    FieldDescriptor.CPPTYPE_INT64,
    FieldDescriptor.CPPTYPE_UINT64,
}
_FLOATS = {FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE}

Convert = Callable[[Any], Any]


def encode(signal: Signal, body: bytes) -> bytes:
    """Return a request in OTLP JSON.

    Parameters
    ----------
    signal : Signal
        What it is of.
    body : bytes
        The request as protobuf.

    Returns
    -------
    bytes
        One JSON object in UTF-8 without line breaks.

    Raises
    ------
    ExportError
        The bytes are no such request, or it has fields which the installed opentelemetry-proto
        does not know: JSON has no place for them, so they would be lost.
    """
    try:
        message = signal.request().FromString(body)
    except DecodeError as error:
        raise ExportError(f"This is no request of {signal.name}.", why=str(error)) from error
    known = message.ByteSize()
    message.DiscardUnknownFields()
    if message.ByteSize() != known:
        raise ExportError(
            f"The {signal.name} have fields that the installed opentelemetry-proto does not know.",
            why="In JSON they would be lost.",
            advice="Upgrade opentelemetry-proto, or send protobuf.",
        )
    text = json.dumps(_message(message), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode()


def _message(message: Any) -> dict[str, Any]:
    """Return a message as what :mod:`json` writes."""
    fields = _fields(message.DESCRIPTOR)
    result = {}
    for field, value in message.ListFields():
        name, convert = fields[field.number]
        result[name] = convert(value) if convert else value
    return result


@cache
def _fields(descriptor: Descriptor) -> dict[int, tuple[str, Convert | None]]:
    """Return name and conversion of each field of a message type, by its number."""
    return {field.number: (field.json_name, _conversion(field)) for field in descriptor.fields}


def _conversion(field: Any) -> Convert | None:
    """Return what turns a field's value into JSON; None where it is already."""
    one = _single(field)
    if not field.is_repeated:
        return one
    if one is None:
        return list
    return lambda values: [one(value) for value in values]


def _single(field: Any) -> Convert | None:
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        return _message
    if field.type == FieldDescriptor.TYPE_BYTES:
        return _hex if field.name in HEX_FIELDS else _base64
    if field.cpp_type in _LONG:
        return str
    if field.cpp_type in _FLOATS:
        return _float
    return None  # text, truth, 32-bit integers and enums


def _hex(value: bytes) -> str:
    return value.hex()


def _base64(value: bytes) -> str:
    return b64encode(value).decode()


def _float(value: float) -> float | str:
    """Return a number, or one of the three words of protobuf for what JSON has none for."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
