"""Columns of protobuf: one piece of every message of a table at a time.

A column is a ``pyarrow.BinaryArray`` that has one piece of wire format per row, null where the
row has none. Pieces are joined row by row by Arrow's own kernels, so that no message is ever a
Python object, and what comes out is one buffer with the messages one behind the other.

The wire format: https://protobuf.dev/programming-guides/encoding/. Varints are as short as they
can be; numbers of fields are those of the ``.proto`` files.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

Part = Any
"""A piece of every row: bytes, the same in all, or a ``pyarrow.BinaryArray``."""
VARINT, FIXED64, DELIMITED, FIXED32 = 0, 1, 2, 5
"""Wire types."""
_POOLED = 1 << 14
"""Lengths below it take at most two bytes, which are kept."""
MAX_VARINT = 10
"""Bytes of a varint of 64 bits."""


def varint(value: int) -> bytes:
    """Return one varint; negative numbers as 64 bits in two's complement.

    Examples
    --------
    >>> varint(300).hex()
    'ac02'
    """
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def tag(number: int, wire_type: int) -> bytes:
    """Return the key of a field."""
    return varint(number << 3 | wire_type)


def field(number: int, data: bytes | str) -> bytes:
    """Return one field with a length: bytes, text or a message."""
    raw = data.encode() if isinstance(data, str) else data
    return tag(number, DELIMITED) + varint(len(raw)) + raw


def integer(number: int, value: int) -> bytes:
    """Return one varint field."""
    return tag(number, VARINT) + varint(value)


def fixed64(number: int, value: int) -> bytes:
    """Return one field of 64 bits."""
    return tag(number, FIXED64) + (value & (1 << 64) - 1).to_bytes(8, "little")


def column(offsets: NDArray[Any], data: NDArray[np.uint8]) -> pa.BinaryArray:
    """Return rows ``data[offsets[i]:offsets[i + 1]]`` as a column."""
    import pyarrow as pa

    ends = offsets.astype(np.int32, copy=False)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(data)]
    return pa.BinaryArray.from_buffers(pa.binary(), len(offsets) - 1, buffers)


def pieces(data: NDArray[np.uint8], starts: NDArray[Any], ends: NDArray[Any]) -> pa.BinaryArray:
    """Return ``data[starts[i]:ends[i]]`` of each row, copied; rows are in order of the data."""
    import pyarrow as pa

    if not len(starts):
        return pa.array([], pa.binary())
    # What is wanted, and what lies between it, by turns.
    offsets = np.empty(2 * len(starts), np.int32)
    offsets[0::2], offsets[1::2] = starts, ends
    return column(offsets, data).take(pa.array(np.arange(0, len(offsets) - 1, 2)))


def block(rows: NDArray[Any]) -> pa.BinaryArray:
    """Return rows of a packed structured array, or of a matrix of bytes, as a column."""
    count, width = len(rows), rows.dtype.itemsize * (rows.shape[1] if rows.ndim == 2 else 1)
    flat = np.ascontiguousarray(rows).reshape(-1).view(np.uint8)
    return column(np.arange(count + 1, dtype=np.int32) * np.int32(width), flat)


def bits(values: Any) -> NDArray[np.uint64]:
    """Return integers as 64 bits, negative ones in two's complement."""
    array = np.asarray(values)
    if array.dtype.kind == "i":
        return array.astype(np.int64, copy=False).view(np.uint64)
    return array.astype(np.uint64, copy=False)


def varint_lengths(values: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return how many bytes each varint takes, 1 to 10."""
    lengths = np.ones(len(values), np.int64)
    top = int(values.max()) if len(values) else 0
    for place in range(1, (top.bit_length() + 6) // 7):
        lengths += values >= np.uint64(1 << 7 * place)
    return lengths


def varints(values: Any) -> pa.BinaryArray:
    """Return each integer as a varint.

    Parameters
    ----------
    values : array of int
        Negative numbers take ten bytes, as ``int32`` and ``int64`` fields do.
    """
    import pyarrow as pa

    numbers = bits(values)
    top = int(numbers.max()) if len(numbers) else 0
    if top < 1 << 7:
        return column(np.arange(len(numbers) + 1, dtype=np.int32), numbers.astype(np.uint8))
    if top < _POOLED:
        return _short_varints().take(pa.array(numbers))
    lengths = varint_lengths(numbers)
    width = int(lengths.max()) if len(lengths) else 1
    places = np.arange(width)
    bytes_ = (numbers[:, None] >> (7 * places).astype(np.uint64)).astype(np.uint8)
    bytes_ |= np.uint8(0x80)
    bytes_[np.arange(len(numbers)), lengths - 1] &= np.uint8(0x7F)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return column(offsets, bytes_[places < lengths[:, None]])


def zigzag(values: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return what ``sint32`` and ``sint64`` fields hold: 0, -1, 1, -2 as 0, 1, 2, 3."""
    return ((values << 1) ^ (values >> 63)).view(np.uint64)


@lru_cache(maxsize=1)
def _short_varints() -> pa.BinaryArray:
    import pyarrow as pa

    return pa.array([varint(number) for number in range(_POOLED)], pa.binary())


@lru_cache(maxsize=64)
def _prefixes(number: int) -> pa.BinaryArray:
    import pyarrow as pa

    key = tag(number, DELIMITED)
    return pa.array([key + varint(length) for length in range(_POOLED)], pa.binary())


def join(*parts: Part) -> pa.BinaryArray:
    """Return the parts of each row, one behind the other; nulls are left out.

    Parameters
    ----------
    *parts : bytes or pyarrow.BinaryArray
        Bytes are in every row. At least one is a column.
    """
    import pyarrow.compute as pc

    found: pa.BinaryArray = pc.binary_join_element_wise(
        *parts, b"", null_handling="replace", null_replacement=b""
    )
    return found


def lengths(part: Part) -> NDArray[np.int32] | int:
    """Return the bytes of each row of a part, 0 for null."""
    import pyarrow.compute as pc

    if isinstance(part, bytes):
        return len(part)
    found = pc.binary_length(part)
    return np.asarray(found.fill_null(0) if found.null_count else found)


def prefixes(number: int, sizes: NDArray[Any]) -> pa.BinaryArray:
    """Return what stands before a message: the field and, in each row, its size."""
    import pyarrow as pa

    if len(sizes) and sizes.max() >= _POOLED:
        return join(tag(number, DELIMITED), varints(sizes))
    return _prefixes(number).take(pa.array(sizes))


def message(number: int, *parts: Part) -> pa.BinaryArray:
    """Return a field that holds a message with these parts, in every row."""
    total: Any = sum(lengths(part) for part in parts)
    return join(prefixes(number, total), *parts)


def optional(number: int, data: pa.BinaryArray) -> pa.BinaryArray:
    """Return a field with a length: bytes, texts or messages; null where `data` is."""
    import pyarrow.compute as pc

    found = message(number, data)
    return pc.if_else(pc.is_valid(data), found, None) if data.null_count else found


def repeated(made: pa.BinaryArray, codes: pa.Array) -> pa.BinaryArray:
    """Return for each row the piece that its code names, null for null."""
    return made.take(codes)


def present(data: pa.BinaryArray, mask: NDArray[np.bool_]) -> pa.BinaryArray:
    """Return a column without the rows that are not in the mask."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return data if mask.all() else pc.if_else(pa.array(mask), data, None)


def lists(counts: NDArray[np.int64], items: pa.BinaryArray) -> pa.BinaryArray:
    """Return for each row the next ``counts[row]`` items, one behind the other.

    Parameters
    ----------
    counts : numpy.ndarray
        Sums up to the number of items.
    items : pyarrow.BinaryArray
        Without nulls.
    """
    offsets, data = buffers(items)
    ends = np.concatenate([[0], np.cumsum(counts)])
    return column(offsets[ends], data)


def buffers(rows: pa.BinaryArray) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Return offsets and bytes of a column without nulls."""
    if not len(rows):
        return np.zeros(1, np.int32), np.zeros(0, np.uint8)
    _, offsets, data = rows.buffers()
    ends = np.frombuffer(offsets, np.int32)[rows.offset : rows.offset + len(rows) + 1]
    raw = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
    return ends, raw
