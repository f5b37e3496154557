"""What is known of one traced process: its mappings, its perf map, its frames so far."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from workbench.symbols.image import Image
from workbench.symbols.mappings import Mapping, MappingHistory, Snapshot, read_maps
from workbench.symbols.perfmap import PerfMap

PERF_MAPS = "/tmp"  # noqa: S108 - the convention; only files of the process's user are read
REFRESH_SECONDS = 0.05
"""Least time between two readings of a file of one process, unless they are asked for."""
REFRESH_SHARE = 0.1
"""Most of the time that may go into such readings, for one process and file."""
MAX_MEMO = 1 << 20
MAX_UNRESOLVED = 1 << 16

_numbers = itertools.count(1)


class Pacer:
    """Says when something may be done again, so that it takes a bounded share of the time."""

    def __init__(self) -> None:
        self._next = 0.0

    def due(self) -> bool:
        """Return whether it may be done now."""
        return time.monotonic() >= self._next

    def done(self, started: float) -> None:
        """Tell that it was done, since `started` (``time.monotonic``)."""
        now = time.monotonic()
        self._next = now + max(REFRESH_SECONDS, (now - started) / REFRESH_SHARE)


@dataclass(frozen=True)
class Status:
    """Facts of ``/proc/PID/stat`` and ``status``.

    Parameters
    ----------
    start_time : int
        In clock ticks since boot; tells one process from a later one of the same id.
    uids : frozenset of int
        Real, effective and saved user ids.
    inner_pid : int
        The process's id in its own pid namespace.
    """

    start_time: int
    uids: frozenset[int]
    inner_pid: int

    @classmethod
    def read(cls, pid: int, proc: Path) -> Status:
        """Read the facts.

        Raises
        ------
        OSError
            The process is gone.
        """
        stat = (proc / str(pid) / "stat").read_bytes()
        # The comm, in parentheses, may itself hold parentheses and spaces.
        start_time = int(stat.rpartition(b")")[2].split()[19])
        uids: frozenset[int] = frozenset()
        inner = pid
        for line in (proc / str(pid) / "status").read_bytes().splitlines():
            name, _, values = line.partition(b":")
            if name == b"Uid":
                uids = frozenset(int(value) for value in values.split()[:3])
            elif name == b"NSpid":
                inner = int(values.split()[-1])
        return cls(start_time, uids, inner)


@dataclass(eq=False)
class TracedProcess:
    """A process, or what is left of it.

    Attributes
    ----------
    number : int
        Unique, unlike `pid`.
    maps : MappingHistory
        Executable mappings over time.
    perfmap : PerfMap
        Names of JIT code.
    images : dict of Mapping to Image or None
        Images that were looked for.
    unresolved : dict of int to (int, str)
        Addresses in anonymous code that had no name yet -> their frames and modules.
    exited : bool
        Whether it is gone.
    unmapped : Snapshot
        Without mappings: for as long as none were read.
    """

    pid: int
    status: Status
    maps: MappingHistory
    perfmap: PerfMap
    proc: Path
    number: int = field(default_factory=lambda: next(_numbers))
    images: dict[Mapping, Image | None] = field(default_factory=dict)
    unresolved: dict[int, tuple[int, str]] = field(default_factory=dict)
    exited: bool = False
    unmapped: Snapshot = field(default_factory=lambda: Snapshot.of(b""))
    _memos: dict[int, dict[int, int]] = field(default_factory=dict)
    _jitted: dict[int, set[int]] = field(default_factory=dict)
    _maps_pacer: Pacer = field(default_factory=Pacer)
    _perfmap_pacer: Pacer = field(default_factory=Pacer)

    @classmethod
    def open(cls, pid: int, status: Status | None, proc: Path) -> TracedProcess:
        """Make the record of a process; `status` is None when it is gone already."""
        status = status or Status(0, frozenset(), pid)
        names = dict.fromkeys((status.inner_pid, pid))
        paths = [f"{proc}/{pid}/root{PERF_MAPS}/perf-{name}.map" for name in names]
        paths += [f"{PERF_MAPS}/perf-{pid}.map"]
        maps = MappingHistory(lambda: read_maps(pid, proc), executable_only=True)
        return cls(pid, status, maps, PerfMap(paths, status.uids), proc)

    def is_current(self) -> bool:
        """Return whether the pid still belongs to this very process."""
        try:
            return Status.read(self.pid, self.proc).start_time == self.status.start_time
        except (OSError, ValueError, IndexError):
            return False

    def refresh_maps(self, *, force: bool = False) -> bool:
        """Read the mappings again if that is due; return whether they changed."""
        if self.exited or not (force or self._maps_pacer.due()):
            return False
        started = time.monotonic()
        # A later process of the same id must not lend this one its mappings.
        changed = self.is_current() and self.maps.refresh()
        if not force:
            # A process maps most of its libraries right after its exec.
            self._maps_pacer.done(started)
        if changed:
            self._forget()
        return changed

    def take_maps(self, content: bytes, now: int) -> None:
        """Take mappings that were read at a time."""
        if self.maps.add(content, now):
            self._forget()

    def _forget(self) -> None:
        """Drop what is known under snapshots that are gone."""
        kept = {id(snapshot) for snapshot in (*self.maps.snapshots, self.unmapped)}
        self._memos = {key: memo for key, memo in self._memos.items() if key in kept}
        self._jitted = {key: keys for key, keys in self._jitted.items() if key in kept}

    def inherit(self, parent: TracedProcess) -> None:
        """Take the mappings of the process that forked this one, which has not told its own."""
        self.status = replace(self.status, uids=parent.status.uids)
        self.perfmap.trust(parent.status.uids)
        self.maps.snapshots += parent.maps.snapshots[-1:]
        self.images |= parent.images

    def refresh_perfmap(self, *, force: bool = False) -> bool:
        """Read the perf map on if that is due; return whether it grew.

        Frames of JIT code are looked up again afterwards: other code may lie there now.
        """
        if not (force or self._perfmap_pacer.due()):
            return False
        started = time.monotonic()
        grew = self.perfmap.refresh()
        self._perfmap_pacer.done(started)
        if grew:
            for key, addresses in self._jitted.items():
                for address in addresses:
                    self._memos[key].pop(address, None)
            self._jitted.clear()
        return grew

    def memo(self, snapshot: Snapshot) -> dict[int, int]:
        """Return the frames that are known by address, under one snapshot."""
        memo = self._memos.setdefault(id(snapshot), {})
        if len(memo) > MAX_MEMO:
            memo.clear()
            self._jitted.pop(id(snapshot), None)
        return memo

    def remember_jit(self, snapshot: Snapshot, addresses: list[int]) -> None:
        """Tell that the frames of these addresses may change."""
        self._memos.setdefault(id(snapshot), {})
        self._jitted.setdefault(id(snapshot), set()).update(addresses)

    def remember_unresolved(self, address: int, frame: int, module: str) -> None:
        """Tell that an address had no name yet."""
        if len(self.unresolved) < MAX_UNRESOLVED:
            self.unresolved[address] = (frame, module)

    def close(self) -> None:
        """Tell that the process is gone; its last snapshot and the perf map read so far stay."""
        self.exited = True
        self.perfmap.close()
