"""Memory-mapped files as Arrow buffers."""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import Any

from workbench.store.guard import reading


class Mapped:
    """A file, as many bytes as there are now, mapped for reading.

    Attributes
    ----------
    buffer : pyarrow.Buffer
        The bytes; the map lives as long as the buffer and its slices.

    Raises
    ------
    SessionNotFoundError, StorageError
        The file is not there or cannot be read.
    """

    def __init__(self, path: Path) -> None:
        import pyarrow as pa

        self._map: mmap.mmap | None = None
        with reading(path), path.open("rb") as file:
            if file.seek(0, os.SEEK_END):
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.buffer: Any = pa.py_buffer(self._map or b"")

    def release(self) -> None:
        """Give the memory back; bytes that are used again are read from the file again."""
        if self._map is not None:
            self._map.madvise(mmap.MADV_DONTNEED)
