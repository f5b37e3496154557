"""Memory-mapped files as Arrow buffers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from workbench.probe.memory import give_back
from workbench.store.guard import reading


class Mapped:
    """A file, as many bytes as there are now, mapped for reading.

    Arrow maps it, not Python: threads of Arrow and polars may drop the last reference to a column
    after the interpreter has begun to end, as they do when another column was damaged. To drop a
    buffer of a Python object they ask for the interpreter's lock; CPython ends or stops a thread
    that does so then, in the middle of a C++ destructor: "terminate called without an active
    exception" (``take_gil`` of Python/ceval_gil.h, ``PyBuffer`` of pyarrow 26).

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

        with reading(path), pa.memory_map(os.fsencode(path)) as file:
            self.buffer: Any = file.read_buffer()

    def release(self) -> None:
        """Give the memory back; bytes that are used again are read from the file again."""
        give_back(self.buffer.address, self.buffer.size)
