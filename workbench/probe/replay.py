"""Recorded buffer bytes behind the interface of a live buffer: tests need no kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.probe import perfbuf, ringbuf

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from workbench.probe.span import Span


class ReplayRing:
    """A ring buffer's content, from its first record to where the producer stood.

    Parameters
    ----------
    data : bytes
        Whole 8-byte words, beginning with a record's header.
    start, size : int
        Where in the buffer the content began, and the buffer's size, in bytes.
    """

    def __init__(self, data: bytes, start: int = 0, size: int = 1 << 24) -> None:
        self.fds: list[int] = []
        self.lost = 0
        self._words = np.frombuffer(data, np.uint64)
        self._start, self._size = start, size

    def drain(self, limit: int = 1 << 22) -> Iterator[Span]:
        """Give the records in spans; what stands behind a busy record stays."""
        while len(self._words):
            words = self._words[: limit // 8]
            span, used = ringbuf.walk(words, self._start, self._size)
            if not used and len(words) < len(self._words):
                limit *= 4
                continue
            self._words = self._words[used // 8 :]
            self._start += used
            if len(span):
                yield span
            if not used:
                return

    def close(self) -> None:
        """Forget the content."""
        self._words = self._words[:0]


class ReplayPerf:
    """The contents of perf buffers, one for each CPU.

    Parameters
    ----------
    contents : sequence of bytes
        Whole records.
    """

    def __init__(self, contents: Sequence[bytes]) -> None:
        self.fds: list[int] = []
        self.lost = 0
        self._contents = list(contents)

    def drain(self) -> Iterator[Span]:
        """Give the samples of each CPU, once."""
        while self._contents:
            span, lost = perfbuf.walk(np.frombuffer(self._contents.pop(0), np.uint64))
            self.lost += lost
            if len(span):
                yield span

    def close(self) -> None:
        """Forget the contents."""
        self._contents.clear()
