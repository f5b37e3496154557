"""Events of a cell while it runs: for loops over batches, blocking or not."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

from workbench.live import INTERVAL_S, converted, need_format, need_interval

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from workbench.cells.collector import Stream


class LiveEvents:
    """The batches of a buffer, each event once, until its cell has ended.

    Made by :meth:`workbench.cells.cell.Cell.live`. Use it in ``for`` or ``async for``; each loop
    begins at the first event. A loop that is slower than the program misses nothing: events wait
    in memory, as they do without a loop.
    """

    def __init__(
        self,
        stream: Stream,
        over: threading.Event,
        *,
        interval: float = INTERVAL_S,
        format: str = "arrow",
    ) -> None:
        need_interval(interval)
        need_format(format)
        self._stream, self._over = stream, over
        self._interval, self._format = interval, format

    def __iter__(self) -> Iterator[Any]:
        """Wait for batches, in this thread."""
        at, over = 0, False
        while not over:
            over = self._over.is_set()  # before the look: what comes later is not missed
            batches, at = self._stream.since(at)
            for batch in batches:
                yield converted(batch, self._format)
            if not over:
                time.sleep(self._interval)

    async def __aiter__(self) -> AsyncIterator[Any]:
        """Wait for batches without holding up the event loop: they are made in a thread."""
        at, over = 0, False
        while not over:
            over = self._over.is_set()
            batches, at = await asyncio.to_thread(self._stream.since, at)
            for batch in batches:
                yield converted(batch, self._format)
            if not over:
                await asyncio.sleep(self._interval)
