"""The framing of Arrow IPC streams: which batches of a growing or truncated file are whole.

An encapsulated message is ``0xFFFFFFFF``, the length of its metadata (int32), the metadata (a
flatbuffer ``Message``), and the body; see "Encapsulated message format" in the Arrow columnar
specification and ``format/Message.fbs``. Only four numbers of the metadata are read here:
the type, the body's length, the number of rows, and whether the body is compressed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

CONTINUATION = 0xFFFFFFFF
SCHEMA, DICTIONARY, BATCH = 1, 2, 3
MAX_METADATA = 16 << 20

# Slots of the tables in format/Message.fbs: field number * 2 + 4.
_HEADER_TYPE, _HEADER, _BODY_LENGTH = 6, 8, 10
_ROWS, _COMPRESSION = 4, 10


@dataclass(frozen=True, slots=True)
class Message:
    """Where one whole message stands in a stream.

    Parameters
    ----------
    kind : int
        :data:`SCHEMA`, :data:`DICTIONARY` or :data:`BATCH`.
    start, end : int
        Offsets of its first byte and of the byte after its body.
    rows : int
        Rows of a batch, else 0.
    """

    kind: int
    start: int
    end: int
    rows: int


def messages(stream: Any, start: int) -> Iterator[Message]:
    """Yield the whole messages of a stream from `start` on.

    Ends silently at the end-of-stream mark, at a message of which a part is missing, and where
    the bytes form no message: what stands before is readable.

    Parameters
    ----------
    stream : buffer
        The bytes of the file as far as they are there.
    start : int
        Offset of a message.
    """
    view = memoryview(stream).cast("B")
    while len(view) - start >= 8:
        mark, length = struct.unpack_from("<Ii", view, start)
        if mark != CONTINUATION or not 0 < length <= min(MAX_METADATA, len(view) - start - 8):
            return
        try:
            message = _message(view[start + 8 : start + 8 + length], start, start + 8 + length)
        except (struct.error, ValueError):
            return
        if message.end > len(view):
            return
        yield message
        start = message.end


def at_end(stream: Any, start: int) -> bool:
    """Return whether nothing, or only the end-of-stream mark, follows `start`."""
    rest = bytes(memoryview(stream).cast("B")[start : start + 9])
    return rest in (b"", struct.pack("<Ii", CONTINUATION, 0))


def _message(metadata: memoryview, start: int, body: int) -> Message:
    root = struct.unpack_from("<I", metadata, 0)[0]
    kind = _scalar(metadata, root, _HEADER_TYPE, "<B")
    length = _scalar(metadata, root, _BODY_LENGTH, "<q")
    if length < 0 or kind not in (SCHEMA, DICTIONARY, BATCH):
        raise ValueError("no message")
    return Message(kind, start, body + length, _rows(metadata, root) if kind == BATCH else 0)


def _rows(metadata: memoryview, root: int) -> int:
    field = _slot(metadata, root, _HEADER)
    header = field + struct.unpack_from("<I", metadata, field)[0]
    rows: int = _scalar(metadata, header, _ROWS, "<q")
    if rows < 0 or _slot(metadata, header, _COMPRESSION):
        raise ValueError("rows are negative, or the body is compressed: we never write that")
    return rows


def _scalar(metadata: memoryview, table: int, slot: int, layout: str) -> int:
    at = _slot(metadata, table, slot)
    value: int = struct.unpack_from(layout, metadata, at)[0] if at else 0
    return value


def _slot(metadata: memoryview, table: int, slot: int) -> int:
    """Return where a field of a flatbuffer table stands, 0 when the table leaves it out."""
    vtable = table - struct.unpack_from("<i", metadata, table)[0]
    if vtable < 0:  # struct would count from the end
        raise ValueError("vtable outside")
    if slot >= struct.unpack_from("<H", metadata, vtable)[0]:
        return 0
    offset: int = struct.unpack_from("<H", metadata, vtable + slot)[0]
    return table + offset if offset else 0
