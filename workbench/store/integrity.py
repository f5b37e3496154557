"""Checksums: what was written is what is read."""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from typing import IO, Any

from workbench.errors import SessionCorruptError

VERIFIED_BYTES = 256 << 20
"""Files and members up to this size are compared with their CRC-32 when they are first used.

Larger ones would take a noticeable time; their Parquet pages have checksums of their own.
"""


def check_crc(path: Path, part: str, content: Any, expected: int) -> None:
    """Compare bytes with their CRC-32.

    Raises
    ------
    SessionCorruptError
        They differ.
    """
    if zlib.crc32(memoryview(content)) != expected:
        raise SessionCorruptError(
            f"{path} ({part}) is damaged.", why="its CRC-32 is not the one that was written"
        )


class Checksummed(io.RawIOBase):
    """A binary file for writing that computes the CRC-32 of what passes.

    Parameters
    ----------
    file : binary file
        Written from its start to its end, without seeking.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.crc = 0

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, content: Any) -> int:
        """Write bytes and take them into the checksum."""
        self.crc = zlib.crc32(content, self.crc)
        return self._file.write(content)
