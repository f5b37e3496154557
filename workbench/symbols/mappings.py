r"""What lies where in a process: ``/proc/PID/maps`` over time.

Format: ``start-end perms offset dev inode path`` (Documentation/filesystems/proc.rst, "maps";
``fs/proc/task_mmu.c``). In paths a newline is written as ``\012``, and the path of a deleted file
ends in `` (deleted)``.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

MAX_BYTES = 64 << 20
"""Most that is read of one maps file: 65,530 mappings (sysctl vm.max_map_count) need 10 MB."""
MAX_SNAPSHOTS = 16

_LINE = re.compile(
    rb"^([0-9a-f]+)-([0-9a-f]+) (...)(.) ([0-9a-f]+) ([0-9a-f]+):([0-9a-f]+) (\d+) *(.*)$",
    re.MULTILINE,
)
_DELETED = " (deleted)"
_READ_BYTES = 1 << 16
_TOP = 1 << 64


@dataclass(frozen=True)
class Mapping:
    """One mapping of a process.

    Parameters
    ----------
    start, end : int
        Addresses ``[start, end)``.
    executable : bool
        Whether code can run in it.
    offset : int
        Of `start` in the file, in bytes.
    device : tuple of (int, int)
        Major and minor number of the file system, as the kernel shows it.
    inode : int
        0 for what is no file.
    path : str
        As the process sees it, without `` (deleted)``; ``[vdso]`` and the like; "" for anonymous
        memory.
    deleted : bool
        Whether the file has no name any more.
    """

    start: int
    end: int
    executable: bool
    offset: int
    device: tuple[int, int]
    inode: int
    path: str
    deleted: bool

    @property
    def is_file(self) -> bool:
        """Whether a file is mapped (memfd counts as one)."""
        return self.inode != 0 and self.path.startswith("/")

    @property
    def special(self) -> bool:
        """Whether it is one of the kernel's, such as ``[vdso]``."""
        return self.path.startswith("[") and not self.path.startswith("[anon")


@dataclass(frozen=True)
class Snapshot:
    """The mappings of a process at one time.

    Parameters
    ----------
    time_ns : int
        When they were read, CLOCK_BOOTTIME.
    mappings : tuple of Mapping
        Sorted by address.
    starts, ends : numpy.ndarray of uint64
        Their addresses.
    """

    time_ns: int
    mappings: tuple[Mapping, ...]
    starts: NDArray[np.uint64]
    ends: NDArray[np.uint64]

    @classmethod
    def of(cls, content: bytes, time_ns: int = 0, *, executable_only: bool = False) -> Snapshot:
        """Parse the content of a maps file; lines that make no sense are left out."""
        lines = _LINE.findall(content)
        if executable_only:
            lines = [line for line in lines if line[2][2:3] == b"x"]
        mappings = [found for line in lines if (found := _mapping(line))]
        mappings.sort(key=lambda mapping: mapping.start)
        starts = np.array([mapping.start for mapping in mappings], np.uint64)
        ends = np.array([mapping.end for mapping in mappings], np.uint64)
        return cls(time_ns, tuple(mappings), starts, ends)

    def lookup(self, addresses: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Return the index of the mapping at each address, -1 where there is none."""
        if not len(self.mappings):
            return np.full(len(addresses), -1, np.int64)
        index = np.searchsorted(self.starts, addresses, "right").astype(np.int64) - 1
        inside = (index >= 0) & (addresses < self.ends[index])
        return np.where(inside, index, -1)


class MappingHistory:
    """Mappings of one process over time.

    Addresses resolve against the mappings at the time of the sample: a library may be unloaded
    and another loaded in its place.

    Parameters
    ----------
    read : callable
        Returns the content of the maps file; raises OSError when the process is gone.
    clock : callable
        Returns the time in ns, on the clock of the samples (CLOCK_BOOTTIME).
    executable_only : bool
        Whether mappings in which no code can run are left out.
    """

    def __init__(
        self,
        read: Callable[[], bytes],
        clock: Callable[[], int] | None = None,
        *,
        executable_only: bool = False,
    ) -> None:
        self._read = read
        self._clock = clock or boottime
        self._executable_only = executable_only
        self._content = b""
        self.snapshots: list[Snapshot] = []

    def refresh(self) -> bool:
        """Read the mappings again.

        Returns
        -------
        bool
            Whether they changed. A process that is gone keeps its last snapshot: what cannot be
            read, or is empty because the process is ending, changes nothing.
        """
        now = self._clock()
        try:
            content = self._read()
        except OSError:
            return False
        return self.add(content, now)

    def add(self, content: bytes, now: int) -> bool:
        """Take the content of the maps file as it was at a time; return whether it changed."""
        if not content or content == self._content:
            return False
        self._content = content
        self.snapshots.append(Snapshot.of(content, now, executable_only=self._executable_only))
        if len(self.snapshots) > MAX_SNAPSHOTS:
            del self.snapshots[1]
        return True

    def at(self, time_ns: int | None = None) -> Snapshot | None:
        """Return the snapshot that was valid at a time, by default the last.

        Before the first snapshot that is the first one.
        """
        if not self.snapshots:
            return None
        if time_ns is None:
            return self.snapshots[-1]
        earlier = [snapshot for snapshot in self.snapshots if snapshot.time_ns <= time_ns]
        return earlier[-1] if earlier else self.snapshots[0]

    def after(self, snapshot: Snapshot) -> list[Snapshot]:
        """Return the snapshots that were taken after another, in order."""
        return [each for each in self.snapshots if each.time_ns > snapshot.time_ns]


def read_maps(pid: int, proc: Path = Path("/proc")) -> bytes:
    """Return the content of a process's maps file.

    Raises
    ------
    OSError
        The process is gone or belongs to another user.
    """
    parts: list[bytes] = []
    size = 0
    with (proc / str(pid) / "maps").open("rb", buffering=0) as file:
        # The kernel gives about a page at a time.
        while size < MAX_BYTES and (part := file.read(_READ_BYTES)):
            parts.append(part)
            size += len(part)
    return b"".join(parts)


def _mapping(fields: tuple[bytes, ...]) -> Mapping | None:
    start, end, offset = (int(fields[place], 16) for place in (0, 1, 4))
    inode = int(fields[7])
    if not start < end <= _TOP - 1 or offset >= _TOP or inode >= _TOP:
        return None
    path = fields[8].decode("utf-8", "replace").replace("\\012", "\n")
    deleted = path.endswith(_DELETED) and inode != 0
    return Mapping(
        start,
        end,
        fields[2][2:3] == b"x",
        offset,
        (int(fields[5], 16), int(fields[6], 16)),
        inode,
        path.removesuffix(_DELETED) if deleted else path,
        deleted,
    )


def boottime() -> int:
    """Return CLOCK_BOOTTIME in ns, the clock of all events."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
