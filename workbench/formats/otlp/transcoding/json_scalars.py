"""Fields of texts, bytes and numbers as JSON: what their bits mean, and how it is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from google.protobuf.descriptor import FieldDescriptor
from numpy.typing import NDArray

from workbench.formats.otlp import wire
from workbench.formats.otlp.transcoding import json_values as values_
from workbench.formats.otlp.transcoding.wire_fields import Found
from workbench.formats.otlp.transcoding.wire_varints import Integers, Irregular, unpacked

if TYPE_CHECKING:
    import pyarrow as pa

    from workbench.formats.otlp.transcoding.json_schema import Field

NUMBERS: dict[int, Callable[[NDArray[np.uint64]], NDArray[Any]]] = {
    FieldDescriptor.TYPE_DOUBLE: lambda v: v.view(np.float64),
    FieldDescriptor.TYPE_INT64: lambda v: v.view(np.int64),
    FieldDescriptor.TYPE_SFIXED64: lambda v: v.view(np.int64),
    FieldDescriptor.TYPE_SINT64: lambda v: _unzigzag(v).view(np.int64),
    FieldDescriptor.TYPE_UINT64: lambda v: v,
    FieldDescriptor.TYPE_FIXED64: lambda v: v,
    FieldDescriptor.TYPE_BOOL: lambda v: v != 0,
    FieldDescriptor.TYPE_INT32: lambda v: v.astype(np.uint32).view(np.int32),
    FieldDescriptor.TYPE_SFIXED32: lambda v: v.astype(np.uint32).view(np.int32),
    FieldDescriptor.TYPE_ENUM: lambda v: v.astype(np.uint32).view(np.int32),
    FieldDescriptor.TYPE_SINT32: lambda v: _unzigzag(v).astype(np.uint32).view(np.int32),
    FieldDescriptor.TYPE_UINT32: lambda v: v.astype(np.uint32),
    FieldDescriptor.TYPE_FIXED32: lambda v: v.astype(np.uint32),
}
"""What 64 bits of the wire format stand for."""


def single(field: Field, data: NDArray[np.uint8], found: Found) -> list[wire.Part]:
    """Return single values of a field as JSON, each with a comma, in parts.

    Parameters
    ----------
    field : Field
        Of no messages.
    data : numpy.ndarray
        uint8, all bytes.
    found : Found
        Where the values are.

    Raises
    ------
    Irregular
        A text is not in UTF-8.
    """
    if field.item_wire == wire.DELIMITED:
        return [b'"', _quoted(field, wire.pieces(data, found.start, found.end)), b'",']
    return _numbers(field, _bits(field, data, found))


def packed(field: Field, data: NDArray[np.uint8], found: Found) -> tuple[list[wire.Part], Integers]:
    """Return the numbers in lists as :func:`single` does, and how many each list has.

    Raises
    ------
    Irregular
        A number is not complete.
    """
    bits, counts = _unpacked(field, wire.pieces(data, found.start, found.end))
    return _numbers(field, bits), counts


def not_default(field: Field, data: NDArray[np.uint8], found: Found) -> NDArray[np.bool_]:
    """Return which single values are not the default of their type: 0, or empty."""
    if field.item_wire == wire.DELIMITED:
        return np.asarray(found.end > found.start)
    return np.asarray(_bits(field, data, found) != 0)


def _bits(field: Field, data: NDArray[np.uint8], found: Found) -> NDArray[np.uint64]:
    """Return the numbers of a field as they are on the wire."""
    if field.item_wire == wire.VARINT:
        return found.start.view(np.uint64)
    return _fixed(field, data)[found.start].astype(np.uint64)


def _fixed(field: Field, data: NDArray[np.uint8]) -> NDArray[Any]:
    """Return the number of fixed size that begins at each byte."""
    dtype = np.dtype("<u8" if field.item_wire == wire.FIXED64 else "<u4")
    return np.ndarray((len(data) - dtype.itemsize + 1,), dtype, data, 0, (1,))


def _quoted(field: Field, column: pa.BinaryArray) -> pa.BinaryArray:
    """Return texts or bytes as they stand between quotes."""
    if field.type == FieldDescriptor.TYPE_STRING:
        return values_.texts(column)
    return values_.hexadecimal(column) if field.hexadecimal else values_.base64(column)


def _numbers(field: Field, bits: NDArray[np.uint64]) -> list[wire.Part]:
    """Return numbers with a comma, those of 64 bits in quotes."""
    values = NUMBERS[field.type](bits)
    if values.dtype.kind == "f":
        return [values_.floats(values), b","]
    if values.dtype.kind == "b":
        return [values_.truths(values), b","]
    return values_.decimals(values, b'"' if values.dtype.itemsize == 8 else b"")


def _unzigzag(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    one = np.uint64(1)
    return (values >> one) ^ (np.uint64(0) - (values & one))


def _unpacked(field: Field, column: pa.BinaryArray) -> tuple[NDArray[np.uint64], Integers]:
    offsets, raw = wire.buffers(column)
    ends = offsets.astype(np.int64) - int(offsets[0])
    raw = raw[int(offsets[0]) : int(offsets[-1])]
    if field.item_wire == wire.VARINT:
        return unpacked(raw, ends)
    dtype = np.dtype("<u8" if field.item_wire == wire.FIXED64 else "<u4")
    if (ends % dtype.itemsize).any():
        raise Irregular
    return raw.view(dtype).astype(np.uint64), np.diff(ends) // dtype.itemsize
