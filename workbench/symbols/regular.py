"""Opening files of other people: never a device or a pipe, whose opening alone has effects."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Identity:
    """What tells one version of a file from another."""

    device: int
    inode: int
    size: int
    modified_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Identity:
        """Return the identity of a file from its stat(2)."""
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def open_regular(path: str) -> Iterator[tuple[int, Identity]]:
    """Yield the open file and its identity if `path` is a regular file that can be read.

    The one who takes the descriptor closes it.
    """
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (OSError, ValueError):
        return
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            return
        descriptor = os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return
    finally:
        os.close(handle)
    yield descriptor, Identity.of(status)
