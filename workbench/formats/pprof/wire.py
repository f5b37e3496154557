"""Protobuf's wire format, written by the column: no object and no call for a single message.

A column of encoded pieces is an Arrow array of binaries, which Arrow joins, repeats and
concatenates in C++. https://protobuf.dev/programming-guides/encoding/ describes the format.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Pieces = Any
"""A pyarrow.LargeBinaryArray without nulls."""

VARINT = 0
LENGTH = 2
"""Wire types: a number, and bytes whose length stands before them."""

_MOST = 10
"""Bytes of a varint at most: 64 bits, 7 in each."""


def varints(
    values: NDArray[Any], key: int | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return numbers as varints, one after the other, and where each begins.

    Parameters
    ----------
    values : numpy.ndarray
        uint64, or int64: negative numbers take 10 bytes, as in protobuf.
    key : int, optional
        A byte that stands before each.

    Returns
    -------
    numpy.ndarray
        uint8.
    numpy.ndarray
        int64, length n + 1.
    """
    plain = np.ascontiguousarray(values).astype(np.uint64, copy=False)
    ahead = 0 if key is None else 1
    lengths = np.full(len(plain), 1 + ahead, np.int64)
    top = int(plain.max(initial=0))
    steps = max(1, -(-top.bit_length() // 7))
    for step in range(1, steps):
        lengths += plain >= np.uint64(1 << 7 * step)
    offsets = np.zeros(len(plain) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    out = np.empty(int(offsets[-1]), np.uint8)
    at, rest = offsets[:-1], plain
    if key is not None:
        out[at] = key
        at = at + 1
    for step in range(steps):
        more = lengths > step + 1 + ahead
        out[at] = (rest & np.uint64(0x7F)).astype(np.uint8) | (more.astype(np.uint8) << 7)
        if step + 1 < steps:
            at, rest, lengths = at[more] + 1, rest[more] >> np.uint64(7), lengths[more]
    return out, offsets


def numbers(field: int, values: NDArray[Any]) -> Pieces:
    """Return a field with a number in each message; nothing where it is 0, the default."""
    there = np.flatnonzero(values)
    data, offsets = varints(np.asarray(values)[there], _key(field, VARINT))
    lengths = np.zeros(len(values), np.int64)
    lengths[there] = np.diff(offsets)
    return _pieces(data, np.concatenate([[0], np.cumsum(lengths)]))


def packed(field: int, values: NDArray[Any], offsets: NDArray[np.int64]) -> Pieces:
    """Return a field with a list of numbers in each message; nothing where it is empty.

    Parameters
    ----------
    field : int
    values : numpy.ndarray
        The numbers of all messages.
    offsets : numpy.ndarray
        int64: those of message ``i`` are ``values[offsets[i]:offsets[i + 1]]``.
    """
    data, starts = varints(values)
    return message(field, _pieces(data, starts[offsets]), empty=False)


def message(field: int, content: Pieces, *, empty: bool = True) -> Pieces:
    """Return a field with bytes, a text or a message, of each content.

    Parameters
    ----------
    field : int
    content : pieces
    empty : bool
        Whether a content without a byte is there at all.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    lengths = pc.binary_length(content).to_numpy(zero_copy_only=False).astype(np.int64)
    prefix = _pieces(*varints(lengths, _key(field, LENGTH)))
    whole = joined(prefix, content)
    if empty or lengths.all():
        return whole
    return pc.if_else(pa.array(lengths > 0), whole, pa.scalar(b"", pa.large_binary()))


def joined(*columns: Pieces) -> Pieces:
    """Return for each message what the columns hold of it, one after the other."""
    import pyarrow as pa
    import pyarrow.compute as pc

    first, *others = columns
    if not others:
        return first
    return pc.binary_join_element_wise(first, *others, pa.scalar(b"", pa.large_binary()))


def grouped(content: Pieces, offsets: NDArray[np.int64]) -> Pieces:
    """Return pieces joined to longer ones: ``content[offsets[i]:offsets[i + 1]]``."""
    starts, data = _parts(content)
    return _pieces(data, starts[offsets])


def concatenated(content: Pieces) -> bytes:
    """Return all pieces as one."""
    starts, data = _parts(content)
    return data[starts[0] : starts[-1]].tobytes()


def binaries(texts: Any) -> Pieces:
    """Return a column of texts as pieces."""
    import pyarrow as pa

    return pa.array(texts, pa.large_string()).cast(pa.large_binary())


def _parts(content: Pieces) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Return the offsets and the bytes of a column."""
    import pyarrow as pa

    if isinstance(content, pa.ChunkedArray):
        content = content.combine_chunks()
    _, offsets, data = content.buffers()
    starts = np.frombuffer(offsets, np.int64)[content.offset : content.offset + len(content) + 1]
    return starts, np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)


def _pieces(data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> Pieces:
    import pyarrow as pa

    starts = np.ascontiguousarray(offsets, np.int64)
    buffers = [None, pa.py_buffer(starts), pa.py_buffer(np.ascontiguousarray(data))]
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(starts) - 1, buffers)


def _key(field: int, wire: int) -> int:
    """Return the key of a field: one byte, as pprof has no field beyond 15."""
    return int(field) << 3 | wire
