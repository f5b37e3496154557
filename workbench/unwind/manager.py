"""Keeps the BPF side's unwind tables in step with what the traced processes run.

A thread of its own: parsing a large file takes a second, and meanwhile the recorder drains.
"""

from __future__ import annotations

import heapq
import itertools
import mmap
import os
import queue
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.elf import Elf
from workbench.errors import KernelError, ObjectFormatError
from workbench.time_budget import TimeBudget
from workbench.unwind.images import VDSO, FoundImage, ImageKey, images_of, place_of
from workbench.unwind.loader import MAX_NUMBER, Table, TableMaps

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROWS_BUDGET = 8 << 20
"""Rows that are loaded at most, 64 MB. Without a limit all files of a busy desktop take 100 MB."""
AGAIN_S = (0.005, 0.02, 0.1, 0.5)
"""When the mappings of a process that has called execve are read again: its loader maps the
libraries meanwhile."""
EAGER_SHARE, EAGER_S = 0.1, 0.5
"""Most of the time that goes into readings that find nothing new, before a stack lacks a table: a
share of it, after a first half second. A busy build starts a thousand processes a second."""
MISSING_S = 0.02
"""Least time between two readings of a process's mappings because of stacks that lacked a table;
doubled each time that this finds nothing, up to :data:`MAX_MISSING_S`."""
MAX_MISSING_S = 5.0
MAX_PROCESSES = 1 << 16

LoadTable = Callable[[Elf], "NDArray[np.uint64]"]
Announce = Callable[[int, FoundImage], None]
_Task = tuple[Callable[..., object], object]
_NEEDED, _AHEAD, _LAST = range(3)
"""What is done first: what stacks lack, what they may lack soon, telling that all is done."""


@dataclass
class _Known:
    number: int
    rows: int = 0
    loaded: bool = False  # or tried to


@dataclass
class UnwindStats:
    """What a manager did.

    Parameters
    ----------
    images, loaded, rows : int
        Images met, loaded now, and rows of those.
    evicted : int
        Images taken out for others.
    malformed : int
        Files that are no ELF files, or damaged ones: frame pointers are used in them.
    failures : int
        Errors that were caught; `last_failure` is the last one's text.
    """

    images: int = 0
    loaded: int = 0
    rows: int = 0
    evicted: int = 0
    malformed: int = 0
    failures: int = 0
    last_failure: str = ""


class UnwindManager:
    """Finds images, numbers them and loads their tables.

    Parameters
    ----------
    maps : TableMaps
        Where tables go.
    load : callable
        From an open ELF file to its rows; may raise ObjectFormatError.
    announce : callable
        Told the number of each new image before any frame can name it, in the manager's thread;
        the image's file is open until the call returns.
    budget : int
        Rows loaded at most; one image alone may have more.

    Attributes
    ----------
    idle : threading.Event
        Set while nothing waits to be loaded.
    """

    def __init__(
        self, maps: TableMaps, load: LoadTable, announce: Announce, budget: int = ROWS_BUDGET
    ) -> None:
        self.stats = UnwindStats()
        self.idle = threading.Event()
        self.idle.set()
        self._maps = maps
        self._load = load
        self._announce = announce
        self._budget = budget
        self._images: dict[ImageKey, _Known] = {}
        self._numbers = itertools.count(1)
        self._later: list[tuple[float, int, int]] = []
        self._order = itertools.count()
        self._missing: dict[int, tuple[float, float]] = {}
        self._ahead = TimeBudget(EAGER_SHARE, EAGER_S)
        self._in: queue.PriorityQueue[tuple[int, int, _Task | None]] = queue.PriorityQueue()
        self._maps_in_use = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="unwind", daemon=True)
        self._thread.start()

    def process_started(self, pid: int, found: list[FoundImage] | None = None) -> None:
        """Load what a process runs: at the start of the capture, after fork and execve.

        Parameters
        ----------
        pid : int
        found : list of FoundImage, optional
            Images that were found already; they are loaded first, and taken over.
        """
        if found:
            self._ask(_NEEDED, self._load_all, found)
        self._ask(_AHEAD, self._started, pid)

    def image_missing(self, pids: NDArray[np.uint32]) -> None:
        """Look for new images of processes whose stacks lacked one."""
        self._ask(_NEEDED, self._look_again, np.unique(pids).tolist())

    def prepare(self, paths: list[str]) -> None:
        """Load files that a process is going to run."""
        self._ask(_NEEDED, self._prepare, paths)

    def wait(self, timeout: float) -> bool:
        """Wait until all that was asked for so far is loaded; False when that takes longer."""
        idle = threading.Event()
        self._ask(_LAST, self._finish, idle)
        return idle.wait(timeout)

    def close(self, timeout: float = 1.0) -> None:
        """End the thread, which may be busy for longer than the wait. Safe to call twice.

        However long it reads a file, it does not touch the maps any more: they go with their
        object.
        """
        with self._maps_in_use:
            self._closed = True
            self._maps.close()
        self._in.put((_NEEDED, -next(self._order), None))
        self._thread.join(timeout)

    def _ask(self, when: int, what: Callable[..., object], value: object) -> None:
        self._in.put((when, next(self._order), (what, value)))

    def _run(self) -> None:
        while True:
            try:
                wait = max(0.0, self._later[0][0] - time.monotonic()) if self._later else None
                _, _, task = self._in.get(timeout=wait)
            except queue.Empty:
                _, _, pid = heapq.heappop(self._later)
                task = (self._look_ahead, pid)
            if task is None:
                self.idle.set()
                return
            what, value = task
            self.idle.clear()
            try:
                what(value)
            except Exception as error:
                self._failed(error)
            if self._in.empty():
                self.idle.set()

    def _started(self, pid: int) -> None:
        self._look_ahead(pid)
        now = time.monotonic()
        for delay in AGAIN_S if self._ahead.left > 0 and len(self._later) < MAX_PROCESSES else ():
            heapq.heappush(self._later, (now + delay, next(self._order), pid))

    def _look_ahead(self, pid: int) -> None:
        """Load what a process runs before a stack lacks it, as long as that is worth its time."""
        began = time.monotonic()
        if self._ahead.left > 0 and not self._look(pid):
            self._ahead.spend(time.monotonic() - began)

    def _look_again(self, pids: list[int]) -> None:
        for pid in pids:
            due, pause = self._missing.get(pid, (0.0, MISSING_S))
            now = time.monotonic()
            if now < due:
                continue
            found = self._look(pid, everything=True)
            pause = MISSING_S if found else min(2 * pause, MAX_MISSING_S)
            if len(self._missing) > MAX_PROCESSES:
                self._missing.clear()
            self._missing[pid] = now + pause, pause

    def _look(self, pid: int, *, everything: bool = False) -> int:
        """Load what a process runs and is not loaded; return how many images that were.

        Parameters
        ----------
        pid : int
        everything : bool
            Open known files as well: one may have been written anew in its place.
        """
        loaded = () if everything else [key for key, i in self._images.items() if i.loaded]
        known = {(key.device, key.inode or key.size) for key in loaded}
        return self._load_all(images_of(pid, lambda mapping: place_of(mapping) not in known))

    def _prepare(self, paths: list[str]) -> None:
        """Map files here: that shows them as /proc/PID/maps will, whatever the file system.

        The vdso is the same for all.
        """
        with ExitStack() as mapped:
            inodes = {inode for path in paths if (inode := _map(path, mapped))}
            self._load_all(images_of(os.getpid(), lambda m: m.inode in inodes or m.path == VDSO))

    def _load_all(self, images: Iterable[FoundImage]) -> int:
        count, tables = 0, []
        for found in images:
            table = self._take(found)
            if table is not None:
                tables.append(table)
                count += 1
            if tables and not self._maps.busy:
                self._put(tables)
                tables = []
        if tables:
            self._put(tables)
        return count

    def _take(self, found: FoundImage) -> Table | None:
        """Number an image and read its table; None where it is loaded already."""
        image = self._images.get(found.key)
        if image is not None and image.loaded:
            found.close()
            return None
        if image is None:
            number = next(self._numbers)
            if number > MAX_NUMBER:
                found.close()
                return None
            image = self._images[found.key] = _Known(number)
            self.stats.images += 1
            self._announce(number, found)
            with self._maps_in_use:
                if not self._closed:
                    self._maps.name(number, found.key)
        rows = np.zeros(0, np.uint64)
        try:
            with Elf(found.source, found.mapping.path) as elf:
                rows = self._load(elf)
        except ObjectFormatError:
            self.stats.malformed += 1
        image.rows = len(rows)
        return Table(image.number, found.key, rows)

    def _put(self, tables: list[Table]) -> None:
        try:
            with self._maps_in_use:
                if self._closed:
                    return
                self._make_room(sum(len(table.rows) for table in tables))
                self._maps.put(tables)
        except KernelError as error:  # no memory, for instance: not to be tried again and again
            self._failed(error)
            for table in tables:
                self._images[table.key].rows = 0
        for table in tables:
            self._images[table.key].loaded = True
        self._count()

    def _finish(self, idle: threading.Event) -> None:
        try:
            with self._maps_in_use:
                if not self._closed:
                    self._maps.finish()
        finally:
            idle.set()

    def _make_room(self, wanted: int) -> None:
        """Take out the images that were not met for the longest time."""
        excess = self.stats.rows + wanted - self._budget
        if excess <= 0:
            return
        used = self._maps.used()
        loaded = [(used.get(i.number, 0), key) for key, i in self._images.items() if i.loaded]
        waiting = deque(key for _, key in sorted(loaded, key=lambda pair: pair[0]))
        out = []
        while excess > 0 and waiting:
            key = waiting.popleft()
            image = self._images[key]
            if not image.rows:
                continue
            excess -= image.rows
            image.loaded = False
            out.append((image.number, key))
        self._maps.remove(out)
        self.stats.evicted += len(out)
        self._count()

    def _count(self) -> None:
        loaded = [image for image in self._images.values() if image.loaded]
        self.stats.loaded, self.stats.rows = len(loaded), sum(i.rows for i in loaded)

    def _failed(self, error: Exception) -> None:
        self.stats.failures += 1
        self.stats.last_failure = f"{type(error).__name__}: {error}"
        if not isinstance(error, KernelError):
            self.stats.last_failure += traceback.format_exc(limit=2)


def _map(path: str, mapped: ExitStack) -> int:
    """Map the first page of a file for execution; return its inode, 0 where that cannot be."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return 0
    try:
        page = mmap.mmap(fd, mmap.PAGESIZE, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC)
        mapped.enter_context(page)
        return os.fstat(fd).st_ino
    except (OSError, ValueError):
        return 0
    finally:
        os.close(fd)
