"""BPF ring buffer (Linux 5.8), drained in bulk.

Layout (kernel/bpf/ringbuf.c): the consumer's position (a page, writable), the producer's
position (a page), then the data, mapped twice in a row so that no record wraps. A record is an
8-byte header and the payload, rounded up to 8. The header's low word is the payload's length with
a busy bit (31: reserved, not yet submitted) and a discard bit (30); its high word is the page
of the header, counted from the start of the buffer's kernel memory.

Positions are 64-bit words that one side writes and the other reads. An aligned 8-byte load is
an acquire on x86-64 (TSO); on arm64 :func:`_fence` stands between position and data.
"""

from __future__ import annotations

import mmap
import os
import platform
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from workbench.errors import BufferFormatError, KernelError
from workbench.probe.chain import equal_stride, follow
from workbench.probe.maps import create_ring
from workbench.probe.span import Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from workbench.probe.maps import Map

PAGE = mmap.PAGESIZE
BUSY = 1 << 31
DISCARD = 1 << 30
LENGTH = DISCARD - 1
HEADER = 8

_WEAK_ORDER = platform.machine() not in ("x86_64", "i686")
_lock = threading.Lock()


def _fence() -> None:
    """Order earlier loads and stores before later ones, on CPUs that would swap them.

    Giving a lock back is a release and taking it again an acquire of the same word; together
    they are a full barrier (Arm Architecture Reference Manual, B2.3: RCsc).
    """
    if _WEAK_ORDER:
        for _ in range(2):
            with _lock:
                pass


class RingBuffer:
    """The consumer of one ring buffer map.

    Parameters
    ----------
    fd : int
        Of the map.
    size : int
        Its ``max_entries``: a power of two, a multiple of the page size.
    """

    def __init__(self, fd: int, size: int) -> None:
        self.size = size
        self.fds = [fd]
        self.lost = 0
        try:
            self._consumer_map = mmap.mmap(fd, PAGE, mmap.MAP_SHARED)
            self._data_map = mmap.mmap(
                fd, PAGE + 2 * size, mmap.MAP_SHARED, mmap.PROT_READ, offset=PAGE
            )
        except (OSError, ValueError) as error:
            raise KernelError("The ring buffer cannot be mapped.", why=str(error)) from error
        self._consumer = np.frombuffer(self._consumer_map, np.uint64, 1)
        self._producer = np.frombuffer(self._data_map, np.uint64, 1)
        self._data = np.frombuffer(self._data_map, np.uint8, offset=PAGE)

    @property
    def fill(self) -> int:
        """Bytes that wait."""
        produced = int(self._producer[0])
        return produced - int(self._consumer[0])

    def drain(self, limit: int = 1 << 22) -> Iterator[Span]:
        """Give what has been submitted, in spans of at most about ``limit`` bytes.

        Stops at the fill that it found at its start, so that a fast producer cannot hold it.
        """
        target = int(self._producer[0])
        _fence()
        while True:
            position = int(self._consumer[0])
            size = min(target - position, limit)
            if size <= 0:
                return
            start = position % self.size
            words = self._data[start : start + size].view(np.uint64)
            span, used = walk(words, start, self.size)
            if not used and size < target - position:
                limit *= 4  # one record is longer than the limit
                continue
            if len(span):
                yield span
            _fence()
            self._consumer[0] = position + used
            if not used:
                return

    def close(self) -> None:
        """Unmap, now or when the last view of a span is gone."""
        del self._consumer, self._producer, self._data
        for area in (self._consumer_map, self._data_map):
            with suppress(BufferError):
                area.close()


class RingBuffers:
    """The ring buffers of all CPUs behind a ``BPF_MAP_TYPE_ARRAY_OF_MAPS``.

    Make it before programs are attached: what they send before that is dropped, and counted.

    Parameters
    ----------
    rings : Map
        The array: entry ``i`` gets the ring of those CPUs whose number ends in ``i``.
    count : int
        Rings to make: a power of two.
    size : int
        Bytes of each.
    """

    def __init__(self, rings: Map, count: int, size: int) -> None:
        self.size = size
        self.fds: list[int] = []
        self.buffers: list[RingBuffer] = []
        self.lost = 0
        try:
            for _ in range(count):
                self.fds.append(create_ring(size))
                self.buffers.append(RingBuffer(self.fds[-1], size))
            # At once: after a change of such a map the kernel waits until no program uses what was
            # there (maybe_wait_bpf_programs() in kernel/bpf/syscall.c), 10 to 30 ms.
            rings.update_batch(_rows(range(count)), _rows(self.fds))
        except BaseException:
            self.close()
            raise

    @property
    def fill(self) -> int:
        """Bytes that wait in all rings."""
        return sum(buffer.fill for buffer in self.buffers)

    def drain(self, limit: int = 1 << 22) -> Iterator[Span]:
        """Give what has been submitted, ring after ring; see :meth:`RingBuffer.drain`."""
        for buffer in self.buffers:
            yield from buffer.drain(limit)

    def close(self) -> None:
        """Unmap and close. Safe to call twice."""
        while self.buffers:
            self.buffers.pop().close()
        while self.fds:
            os.close(self.fds.pop())


def _rows(numbers: Iterable[int]) -> NDArray[np.uint8]:
    """Return numbers as keys or values of a map: a row of four bytes each."""
    return np.array([*numbers], np.uint32).view(np.uint8).reshape(-1, 4)


def walk(words: NDArray[np.uint64], start: int, size: int) -> tuple[Span, int]:
    """Find the submitted records in a stretch that starts at a header.

    Parameters
    ----------
    words : uint64 array
        The stretch; its last record may be cut.
    start, size : int
        Where the stretch starts in the buffer's data, and how large that is, in bytes.

    Returns
    -------
    Span
        The records up to the first busy one, without discarded ones.
    int
        Bytes that are done with.

    Raises
    ------
    BufferFormatError
        The headers do not form a chain.
    """
    first = int(words[0]) & 0xFFFFFFFF
    length = first & LENGTH
    step = HEADER + ((length + 7) & ~7)
    whole = len(words) * 8 // step
    if first & BUSY or not whole:
        return _equal(words, 0, length, step), 0
    count = equal_stride(words[: whole * step // 8].view(np.uint32), step // 4)
    if count < whole:
        return _walk_mixed(words, start, size)
    return _equal(words, 0 if first & DISCARD else count, length, step), count * step


def _walk_mixed(words: NDArray[np.uint64], start: int, size: int) -> tuple[Span, int]:
    # A header names its own page; which number the first page has is read off the first header.
    pages = (start + 8 * np.arange(len(words), dtype=np.int64)) % size // PAGE
    pages += int(words[0] >> np.uint64(32)) - int(pages[0])
    candidates = np.flatnonzero(words >> np.uint64(32) == pages.astype(np.uint64))
    heads = words[candidates].astype(np.uint32)
    following = candidates + 1 + ((heads & np.uint32(LENGTH)).astype(np.int64) + 7) // 8
    chain, _ = follow(candidates, following, len(words))
    heads, at, following = heads[chain], candidates[chain], following[chain]
    busy = heads >= np.uint32(BUSY)
    if busy.any():
        cut = int(busy.argmax())
        heads, at, following = heads[:cut], at[:cut], following[:cut]
    elif following[-1] < len(words):
        raise BufferFormatError(
            "The ring buffer's headers do not form a chain.",
            why=f"no header at byte {int(following[-1]) * 8} of the stretch",
        )
    whole = following <= len(words)
    used = int(following[whole][-1]) * 8 if whole.any() else 0
    at = at[whole & (heads & np.uint32(DISCARD) == 0)]
    lengths = (words[at] & np.uint64(LENGTH)).astype(np.int64)
    return Span(words.view(np.uint8), at * 8 + HEADER, lengths), used


def _equal(words: NDArray[np.uint64], count: int, length: int, step: int) -> Span:
    offsets = np.arange(count, dtype=np.int64) * step + HEADER
    return Span(words.view(np.uint8), offsets, np.broadcast_to(np.int64(length), count), step)
