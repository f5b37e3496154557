"""Names of code that a runtime compiles while it runs: ``/tmp/perf-PID.map``.

A line is ``start size name`` with hexadecimal numbers (tools/perf/Documentation/jit-interface.txt
of the kernel). Runtimes append to it, so it is read on from where the last reading ended, and where
entries overlap the later one holds: the code before it was thrown away.

Anybody may put a file of that name into ``/tmp``: only a regular file of the process's own user is
read, and only up to limits.
"""

from __future__ import annotations

import heapq
import os
import stat
from collections.abc import Iterable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from workbench.symbols.table import SymbolTable

MAX_BYTES = 128 << 20
MAX_ENTRIES = 1 << 20
MAX_NAME = 1024

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY
_MAX_DIGITS = 16


class PerfMap:
    """The perf map of one process, read as it grows.

    The file stays open from its first reading on, so that it can be read to its end after the
    process is gone, from whatever mount namespace it was in.

    Parameters
    ----------
    paths : iterable of str
        Where the file may lie; the first that can be trusted is read.
    owners : iterable of int
        User ids of the process.

    Attributes
    ----------
    table : SymbolTable
        The code that is known so far.
    status : str
        "missing"; "ok"; "foreign": there is a file, but it is not the process's; "full": it
        exceeds a limit, what follows is not read.
    bad_lines : int
        Lines that are no entries.
    """

    def __init__(self, paths: Iterable[str], owners: Iterable[int]) -> None:
        self._paths = tuple(paths)
        self._owners = frozenset(owners)
        self._descriptor = -1
        self._position = 0
        self._rest = b""
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._names: list[bytes] = []
        self.table = SymbolTable.empty()
        self.status = "missing"
        self.bad_lines = 0

    def trust(self, owners: Iterable[int]) -> None:
        """Read files of these users as well."""
        self._owners |= frozenset(owners)

    def close(self) -> None:
        """Close the file; what was read stays."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def refresh(self) -> bool:
        """Read what was appended.

        Returns
        -------
        bool
            Whether there were new entries.
        """
        if self._descriptor < 0 and not self._open():
            return False
        if self.status == "full":
            return False
        before = len(self._starts)
        try:
            self._read_on()
        except OSError:
            return False
        if len(self._starts) == before:
            return False
        self.table = _table(self._starts, self._ends, self._names)
        return True

    def _open(self) -> bool:
        for path in self._paths:
            try:
                descriptor = os.open(path, _FLAGS)
            except OSError:
                continue
            status = os.fstat(descriptor)
            if stat.S_ISREG(status.st_mode) and status.st_uid in self._owners:
                self._descriptor = descriptor
                self.status = "ok"
                return True
            os.close(descriptor)
            self.status = "foreign"
        return False

    def _read_on(self) -> None:
        while True:
            part = os.pread(self._descriptor, 1 << 20, self._position)
            if not part:
                return
            self._position += len(part)
            *lines, self._rest = (self._rest + part).split(b"\n")
            self._add(lines)
            if len(self._rest) > MAX_NAME + 64:
                # The rest of an endless line is dropped with it.
                self._rest = self._rest[: MAX_NAME + 64]
            if self._position >= MAX_BYTES or len(self._starts) >= MAX_ENTRIES:
                self.status = "full"
                return

    def _add(self, lines: list[bytes]) -> None:
        for line in lines:
            fields = line.split(b" ", 2)
            try:
                start, size = (int(field, 16) for field in fields[:2])
                name = fields[2].strip()[:MAX_NAME]
            except (ValueError, IndexError):
                self.bad_lines += 1
                continue
            if max(map(len, fields[:2])) > _MAX_DIGITS + 2 or not 0 < size < 1 << 40 or start < 0:
                self.bad_lines += 1
            elif start + size < 1 << 63 and name:
                self._starts.append(start)
                self._ends.append(start + size)
                self._names.append(name)
            else:
                self.bad_lines += 1


def _table(starts: list[int], ends: list[int], names: list[bytes]) -> SymbolTable:
    """Make the table of entries, of which later ones cover earlier ones."""
    parts = _disjoint(np.array(starts, np.int64), np.array(ends, np.int64))
    lengths = np.array([len(name) for name in names], np.int64)
    name_ends = np.cumsum(lengths)
    entry = parts[:, 2]
    return SymbolTable(
        parts[:, 0].astype(np.uint64),
        parts[:, 1].astype(np.uint64),
        (name_ends - lengths)[entry],
        name_ends[entry],
        b"".join(names),
    )


def _disjoint(starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return rows (start, end, entry) without overlaps; the entry with the highest index holds."""
    order = np.lexsort((ends, starts))
    sorted_starts, furthest = starts[order], np.maximum.accumulate(ends[order])
    # A cluster is a run of entries that touch each other; most have one entry.
    heads = np.flatnonzero(np.r_[True, sorted_starts[1:] >= furthest[:-1]])
    sizes = np.diff(np.r_[heads, len(order)])
    alone = order[heads[sizes == 1]]
    rows = [np.stack([starts[alone], ends[alone], alone], axis=1)]
    for head, size in zip(heads[sizes > 1].tolist(), sizes[sizes > 1].tolist(), strict=True):
        members = order[head : head + size].tolist()
        spans = [(int(starts[entry]), int(ends[entry]), entry) for entry in members]
        rows.append(np.array(_sweep(spans), np.int64).reshape(-1, 3))
    parts = np.concatenate(rows)
    return parts[np.argsort(parts[:, 0], kind="stable")]


def _sweep(spans: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Cut overlapping spans (start, end, entry), sorted by start, so that the last entry shows."""
    edges = sorted({edge for start, end, _ in spans for edge in (start, end)})
    open_: list[tuple[int, int]] = []
    parts: list[tuple[int, int, int]] = []
    following = 0
    for low, high in pairwise(edges):
        while following < len(spans) and spans[following][0] <= low:
            heapq.heappush(open_, (-spans[following][2], spans[following][1]))
            following += 1
        while open_ and open_[0][1] <= low:
            heapq.heappop(open_)
        if not open_:
            continue
        entry = -open_[0][0]
        if parts and parts[-1][2] == entry and parts[-1][1] == low:
            parts[-1] = (parts[-1][0], high, entry)
        else:
            parts.append((low, high, entry))
    return parts
