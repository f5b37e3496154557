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
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

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
    text = json.dumps(
        _writer(message.DESCRIPTOR)(message),
        ensure_ascii=False,
        separators=(",", ":"),
        allow_nan=False,
    )
    return text.encode()


_PAIR = "opentelemetry.proto.common.v1.KeyValue"
_VALUE = "opentelemetry.proto.common.v1.AnyValue"
_WRITERS: dict[str, Convert] = {}


def _writer(descriptor: Descriptor) -> Convert:
    """Return what turns messages of a type into what :mod:`json` writes."""
    found = _WRITERS.get(descriptor.full_name)
    if found is None:
        # Types hold each other: the writer is known before its fields are.
        fields: dict[Any, tuple[str, Convert | None]] = {}
        make = {_PAIR: _pair, _VALUE: _value}.get(descriptor.full_name, _any)
        found = _WRITERS[descriptor.full_name] = make(fields)
        for field in descriptor.fields:
            entry = field.json_name, _conversion(field)
            fields[field] = fields[field.name] = entry
    return found


def _any(fields: dict[Any, tuple[str, Convert | None]]) -> Convert:
    """Make the writer of a type, given name in JSON and conversion of its fields."""

    def write(message: Any) -> dict[str, Any]:
        result = {}
        for field, value in message.ListFields():
            name, convert = fields[field]
            result[name] = convert(value) if convert else value
        return result

    return write


def _value(fields: dict[Any, tuple[str, Convert | None]]) -> Convert:
    """The same for AnyValue, which is one of several values, at half the time."""

    def write(message: Any) -> dict[str, Any]:
        name = message.WhichOneof("value")
        if name is None:
            return {}
        key, convert = fields[name]
        value = getattr(message, name)
        return {key: convert(value) if convert else value}

    return write


def _pair(_fields: dict[Any, tuple[str, Convert | None]]) -> Convert:
    """The same for KeyValue, of which there are most."""
    has_index = "key_strindex" in KeyValue.DESCRIPTOR.fields_by_name
    write_value = _writer(AnyValue.DESCRIPTOR)

    def write(message: Any) -> dict[str, Any]:
        result: dict[str, Any] = {}
        if key := message.key:
            result["key"] = key
        if message.HasField("value"):
            result["value"] = write_value(message.value)
        if has_index and (index := message.key_strindex):
            result["keyStrindex"] = index
        return result

    return write


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
        return _writer(field.message_type)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return bytes.hex if field.name in HEX_FIELDS else _base64
    if field.cpp_type in _LONG:
        return str
    if field.cpp_type in _FLOATS:
        return _float
    return None  # text, truth, 32-bit integers and enums


def _base64(value: bytes) -> str:
    return b64encode(value).decode()


def _float(value: float) -> float | str:
    """Return a number, or one of the three words of protobuf for what JSON has none for."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
