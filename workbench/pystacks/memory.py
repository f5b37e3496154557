"""Bounded reads of a process's memory, which may hold anything and change meanwhile."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from types import TracebackType
from typing import Self

MAX_READ = 4 << 20
"""Most bytes of one read; the line table of a module of 100,000 lines has about 2 MiB."""


class ProcessMemory:
    """The memory of one process, or of what it was at the time of opening.

    The open file belongs to the address space, not to the process id: after an execve or a reuse
    of the id all reads are empty (``fs/proc/base.c``, mem_open).

    Parameters
    ----------
    pid : int
    proc : pathlib.Path
        Where proc is mounted.
    """

    def __init__(self, pid: int, proc: Path = Path("/proc")) -> None:
        self.pid = pid
        self._descriptor = -1
        try:
            self._descriptor = os.open(proc / str(pid) / "mem", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return  # gone, or not permitted: all reads are empty

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close; later reads are empty. Safe to call twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def read(self, address: int, size: int) -> bytes:
        """Return exactly `size` bytes at `address`, or none where they cannot be read."""
        if self._descriptor < 0 or not 0 < size <= MAX_READ or not 0 < address < 1 << 63:
            return b""
        try:
            content = os.pread(self._descriptor, size, address)
        except (OSError, OverflowError):
            return b""
        return content if len(content) == size else b""

    def word(self, address: int) -> int:
        """Return the 64-bit word at `address`, 0 where it cannot be read."""
        content = self.read(address, 8)
        return int(struct.unpack("<Q", content)[0]) if content else 0
