"""How the messages of OTLP are written in JSON: a plan for each type, made of its descriptor."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from workbench.formats.otlp import wire

HEX_FIELDS = frozenset({"trace_id", "span_id", "parent_span_id", "profile_id"})
"""Bytes that are written in hex, as the specification (trace and span ids, wherever they are) and
the collector of OpenTelemetry (profile ids, too) have it."""
_WIRE_TYPES = {
    FieldDescriptor.TYPE_DOUBLE: wire.FIXED64,
    FieldDescriptor.TYPE_FIXED64: wire.FIXED64,
    FieldDescriptor.TYPE_SFIXED64: wire.FIXED64,
    FieldDescriptor.TYPE_FIXED32: wire.FIXED32,
    FieldDescriptor.TYPE_SFIXED32: wire.FIXED32,
    FieldDescriptor.TYPE_STRING: wire.DELIMITED,
    FieldDescriptor.TYPE_BYTES: wire.DELIMITED,
    FieldDescriptor.TYPE_MESSAGE: wire.DELIMITED,
}


@dataclass(frozen=True)
class Field:
    """One field of a message.

    Parameters
    ----------
    name : bytes
        Its key in JSON with quotes and colon.
    type : int
        ``FieldDescriptor.TYPE_…``.
    repeated : bool
        It is a list.
    presence : bool
        Its default value can be set, and is written then.
    oneof : str
        Fields of the same, not empty, exclude each other.
    hexadecimal : bool
        Its bytes are written in hex.
    descriptor : Descriptor, optional
        Of the messages in it.
    """

    name: bytes
    type: int
    repeated: bool
    presence: bool
    oneof: str
    hexadecimal: bool
    descriptor: Any

    @property
    def item_wire(self) -> int:
        """Wire type of one value."""
        return _WIRE_TYPES.get(self.type, wire.VARINT)

    @property
    def packed(self) -> bool:
        """Whether it is a list of numbers, which are written together (``proto3``)."""
        return self.repeated and self.item_wire != wire.DELIMITED

    @cached_property
    def plan(self) -> Plan:
        """The plan of the messages in it; types hold each other, so it is made when asked for."""
        return plan_of(self.descriptor)


Plan = dict[int, Field]
"""The fields of a type by the key that stands before them: number and wire type."""


@cache
def plan_of(descriptor: Descriptor) -> Plan:
    """Return how messages of a type are written."""
    return {_key(field): field_of for field, field_of in map(_planned, descriptor.fields)}


def _planned(field: FieldDescriptor) -> tuple[FieldDescriptor, Field]:
    oneof = field.containing_oneof
    return field, Field(
        name=f'"{field.json_name}":'.encode(),
        type=field.type,
        repeated=field.is_repeated,
        presence=field.has_presence,
        oneof=oneof.name if oneof is not None else "",
        hexadecimal=field.name in HEX_FIELDS,
        descriptor=field.message_type,
    )


def _key(field: FieldDescriptor) -> int:
    single = _WIRE_TYPES.get(field.type, wire.VARINT)
    number: int = field.number
    return number << 3 | (wire.DELIMITED if field.is_repeated else single)
