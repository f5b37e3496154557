"""Many protobuf messages of one shape at once: a template whose numbers numpy fills in.

Protobuf lets a varint have more bytes than it needs (a continuation bit, then zeros), so all
messages of a template have the same length and a column of them is a matrix of bytes.
https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Piece = bytes | tuple[str, int]
"""Bytes that are the same in each message, or (column, width in bytes) of a varint."""

DOUBLE = 0
"""Width of a column that is a 64-bit float."""


def varint(value: int) -> bytes:
    """Return a number as a varint of the fewest bytes; negative ones as 64 bits."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def tag(number: int, wire: int) -> bytes:
    """Return the tag of a field: wire type 0 is a varint, 1 has 64 bits, 2 a length."""
    return varint(number << 3 | wire)


def number(field: int, value: int) -> bytes:
    """Return a field with a number."""
    return tag(field, 0) + varint(value)


def text(field: int, value: str | bytes) -> bytes:
    """Return a field with a text, or with a message that is encoded already."""
    data = value.encode() if isinstance(value, str) else value
    return tag(field, 2) + varint(len(data)) + data


def message(field: int, pieces: Sequence[Piece]) -> list[Piece]:
    """Return the pieces of a message within another."""
    return [tag(field, 2) + varint(width(pieces)), *pieces]


def column(field: int, name: str, size: int) -> list[Piece]:
    """Return the pieces of a field with a column's numbers, as varints of so many bytes."""
    return [tag(field, 0), (name, size)]


def floats(field: int, name: str) -> list[Piece]:
    """Return the pieces of a field with a column's 64-bit floats."""
    return [tag(field, 1), (name, DOUBLE)]


def width(pieces: Iterable[Piece]) -> int:
    """Return the length of a template's messages, in bytes."""
    return sum(len(p) if isinstance(p, bytes) else p[1] or 8 for p in pieces)


def filled(
    pieces: Sequence[Piece], columns: Mapping[str, NDArray[np.generic]], rows: int
) -> NDArray[np.uint8]:
    """Fill a template.

    Parameters
    ----------
    pieces : sequence
        The template.
    columns : mapping of str to numpy.ndarray
        Numbers by name, each with ``rows`` entries; negative ones need a width of 10.
    rows : int
        Number of messages.

    Returns
    -------
    numpy.ndarray
        uint8, (rows, width).
    """
    out = np.empty((rows, width(pieces)), np.uint8)
    at = 0
    for piece in pieces:
        if isinstance(piece, bytes):
            out[:, at : at + len(piece)] = np.frombuffer(piece, np.uint8)
            at += len(piece)
        elif piece[1] == DOUBLE:
            values = np.ascontiguousarray(columns[piece[0]], "<f8")
            out[:, at : at + 8] = values.view(np.uint8).reshape(rows, 8)
            at += 8
        else:
            left = columns[piece[0]].astype(np.int64).view(np.uint64)
            for byte in range(piece[1]):
                more = 0x80 if byte + 1 < piece[1] else 0
                out[:, at + byte] = (left & np.uint64(0x7F)).astype(np.uint8) | np.uint8(more)
                left = left >> np.uint64(7)
            at += piece[1]
    return out


def merged(parts: Sequence[tuple[NDArray[np.int64], NDArray[np.uint8]]]) -> bytes:
    """Return messages of several templates in a common order.

    Parameters
    ----------
    parts : sequence of (numpy.ndarray, numpy.ndarray)
        Place of each message, which together are 0, 1, 2, ..., and the messages of a template.
    """
    lengths = np.zeros(sum(len(places) for places, _ in parts) + 1, np.int64)
    for places, rows in parts:
        lengths[places + 1] = rows.shape[1]
    starts = np.cumsum(lengths)
    out = np.empty(int(starts[-1]), np.uint8)
    for places, rows in parts:
        out[starts[places][:, None] + np.arange(rows.shape[1])] = rows
    return out.tobytes()


def in_order(
    begin: NDArray[np.int64], end: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the places of beginnings and ends, so that spans at one time nest as they should.

    At the same time, what ends comes before what begins, and of that the longer one first.
    """
    length = end - begin
    empty = length == 0
    time = np.concatenate([begin, end])
    rank = np.concatenate([np.where(empty, 2, 1), np.where(empty, 3, 0)])
    longer = np.concatenate([-length, length])
    order = np.lexsort((longer, rank, time))
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order))
    return places[: len(begin)], places[len(begin) :]
