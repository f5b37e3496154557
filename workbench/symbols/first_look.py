"""What a process maps, read the moment that its program starts: it may be gone a little later.

For the recorder's loop, so it is bounded: in its share of the time, and in the files it opens.
"""

from __future__ import annotations

import os
import resource
import time
from dataclasses import dataclass
from pathlib import Path

from workbench.symbols.image import open_mapping
from workbench.symbols.mappings import Mapping, Snapshot, boottime, read_maps
from workbench.symbols.process import Status
from workbench.symbols.regular import Identity
from workbench.time_budget import TimeBudget

SHARE, BURST_S = 0.05, 0.1
"""Most of the loop's time that goes into looks: a share of it, after a first tenth of a second. A
look takes a fifth of a millisecond, so up to 250 programs a second are looked at for ever."""
MAX_FILES = 32
"""Files of one process that are opened."""
MAX_KNOWN = 1 << 16
SPARE = 256
"""Descriptors that are left to others of those that a process may have."""


@dataclass(frozen=True)
class Look:
    """What was seen of a process; its files are open for the one who takes it to close.

    Parameters
    ----------
    pid : int
    status : Status
    content : bytes
        Of its maps file.
    time_ns : int
        When that was read, CLOCK_BOOTTIME.
    files : tuple of (Mapping, int)
        Mappings of files that were not known, and their descriptors.
    """

    pid: int
    status: Status
    content: bytes
    time_ns: int
    files: tuple[tuple[Mapping, int], ...] = ()

    def duplicate(self) -> list[tuple[Mapping, int]]:
        """Return the files with descriptors of their own."""
        return [(mapping, os.dup(descriptor)) for mapping, descriptor in self.files]

    def close(self) -> None:
        """Close the files."""
        for _, descriptor in self.files:
            os.close(descriptor)


class FirstLook:
    """Looks at processes.

    Parameters
    ----------
    proc : pathlib.Path
        Where procfs is mounted.

    Attributes
    ----------
    skipped : int
        Processes that were not looked at, as that would have taken too much of the time.
    """

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self.skipped = 0
        self._proc = proc
        self._known: set[tuple[tuple[int, int], int]] = set()
        self._programs: set[Identity] = set()
        self._budget = TimeBudget(SHARE, BURST_S)
        self._limit = max(SPARE, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE)

    def look(self, pid: int) -> Look | None:
        """Look at a process that has just called execve.

        Parameters
        ----------
        pid : int

        Returns
        -------
        Look or None
            None when there was no time for it, or the process is gone.
        """
        if self._budget.left <= 0:
            self.skipped += 1
            return None
        started = time.monotonic()
        try:
            return self._look(pid)
        except (OSError, ValueError, IndexError):
            return None
        finally:
            self._budget.spend(time.monotonic() - started)

    def _look(self, pid: int) -> Look | None:
        now, content = boottime(), read_maps(pid, self._proc)
        status = Status.read(pid, self._proc)
        if not content:
            return None
        program = Identity.of((self._proc / str(pid) / "exe").stat())
        # The inode of a file that was deleted is soon another file's.
        inode = program.inode if program not in self._programs else -1
        files: dict[tuple[tuple[int, int], int], tuple[Mapping, int]] = {}
        for mapping in Snapshot.of(content, executable_only=True).mappings:
            place = mapping.device, mapping.inode
            known = place in files or (place in self._known and mapping.inode != inode)
            if known or not mapping.is_file or len(files) >= MAX_FILES:
                continue
            descriptor = self._open(pid, mapping)
            if descriptor >= 0:
                files[place] = mapping, descriptor
        if len(self._known) + len(self._programs) > MAX_KNOWN:
            self._known.clear()
            self._programs.clear()
        self._known |= files.keys()
        if any(mapping.inode == program.inode for mapping, _ in files.values()):
            self._programs.add(program)
        return Look(pid, status, content, now, tuple(files.values()))

    def _open(self, pid: int, mapping: Mapping) -> int:
        """Return a descriptor, -1 where the file is out of reach or too many are open."""
        opened = open_mapping(pid, mapping, self._proc)
        if opened is None:
            return -1
        if opened[0] < self._limit:
            return opened[0]
        # The kernel gives the lowest number that is free: all below are taken.
        os.close(opened[0])
        return -1
