"""Memory-mapped files as Arrow buffers."""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import Any

from workbench.store.guard import reading


def mapped(path: Path) -> Any:
    """Return the bytes of a file, as many as there are now, without reading them.

    Returns
    -------
    pyarrow.Buffer
        Over a read-only memory map that lives as long as the buffer and its slices.

    Raises
    ------
    SessionNotFoundError, StorageError
        The file is not there or cannot be read.
    """
    import pyarrow as pa

    with reading(path), path.open("rb") as file:
        if not file.seek(0, os.SEEK_END):
            return pa.py_buffer(b"")
        return pa.py_buffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
