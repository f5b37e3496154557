"""The bytes of a file that is imported: plain or gzip, and never more than was agreed to."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import IO

from workbench.errors import ImportFormatError

GZIP = b"\x1f\x8b"
LIMIT = 1 << 30
"""Bytes of a file that is read as one piece, after decompression."""
TEXT_LIMIT = 1 << 36
"""Bytes of a file that is read line by line."""
MAX_LINE = 1 << 20
HEAD = 1 << 16
"""Bytes from which a format is recognised."""
MAX_MEMBERS = 1 << 20
"""Members of a gzip file; bgzip makes one of every 64 KiB."""

_BLOCK = 1 << 18
_PACKED = 1 << 14
"""Bytes that are decompressed at once: zlib copies what is behind the end of a member."""
_GZIP_WINDOW = 31  # zlib: a gzip header, and the largest window


def head(file: IO[bytes], size: int = HEAD) -> bytes:
    """Return the first bytes of a file, decompressed; the file is at its start before and after.

    Of a file that is damaged right there, what could be decompressed is returned.
    """
    file.seek(0)
    raw = file.read(size)
    file.seek(0)
    if not raw.startswith(GZIP):
        return raw
    try:
        return zlib.decompressobj(_GZIP_WINDOW).decompress(raw, size)
    except zlib.error:
        return b""


def whole(file: IO[bytes], limit: int = LIMIT) -> bytes:
    """Return all of a file, decompressed where it is gzip (of several members, too).

    Raises
    ------
    ImportFormatError
        It is longer than `limit`, or its compression is damaged or breaks off.
    """
    return b"".join(blocks(file, limit))


def lines(file: IO[bytes], limit: int = TEXT_LIMIT) -> Iterator[bytes]:
    """Yield the lines of a file without their ends, decompressed where it is gzip.

    Raises
    ------
    ImportFormatError
        As :func:`whole`; or a line is longer than :data:`MAX_LINE`.
    """
    rest = b""
    for block in blocks(file, limit):
        *full, rest = (rest + block).split(b"\n")
        if len(rest) > MAX_LINE:
            raise ImportFormatError(
                "The file has a line that is too long.", why=f"At most {MAX_LINE:,} bytes are read."
            )
        for line in full:
            yield line.removesuffix(b"\r")
    if rest:
        yield rest.removesuffix(b"\r")


def blocks(file: IO[bytes], limit: int = LIMIT) -> Iterator[bytes]:
    """Yield all of a file in blocks, decompressed where it is gzip; errors of :func:`whole`."""
    file.seek(0)
    packed = file.read(2) == GZIP
    file.seek(0)
    left = limit
    for block in _unpacked(file, limit) if packed else iter(lambda: file.read(_BLOCK), b""):
        left -= len(block)
        if left < 0:
            raise too_large(
                f"It holds more than {limit:,} bytes"
                + (" when it is decompressed." if packed else ".")
            )
        yield block


def too_large(why: str) -> ImportFormatError:
    """Return the error for a file that takes more room than there is for it."""
    return ImportFormatError("The file is too large to be imported.", why=why)


def _unpacked(file: IO[bytes], limit: int) -> Iterator[bytes]:
    """Yield what a gzip file holds, in blocks of bounded size.

    What is compressed is bounded, too: empty members and zeros behind the last one hold nothing.
    """
    member = zlib.decompressobj(_GZIP_WINDOW)
    raw, members, taken = b"", 1, 0
    most = limit + (limit >> 3) + HEAD  # what cannot be compressed becomes a little longer
    try:
        while True:
            if not raw:
                raw = file.read(_PACKED)
                taken += len(raw)
            if taken > most:
                raise too_large(f"It has more than {most:,} bytes.")
            if not raw and member.eof:
                return
            if raw and member.eof:  # another member follows, or zeros that tapes are padded with
                raw = raw.lstrip(b"\0")
                if not raw:
                    continue
                members += 1
                if members > MAX_MEMBERS:
                    raise too_large(f"It has more than {MAX_MEMBERS:,} gzip members.")
                member = zlib.decompressobj(_GZIP_WINDOW)
            ended = not raw
            out = member.decompress(raw, _BLOCK)
            raw = member.unconsumed_tail or member.unused_data
            if out:
                yield out
            elif ended and not member.eof:
                break
    except zlib.error as error:
        raise ImportFormatError("The file's compression is damaged.", why=str(error)) from error
    raise ImportFormatError(
        "The file breaks off.", why="Its compressed content has no end.", advice="Copy it anew."
    )
