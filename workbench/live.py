"""Batches of a table while it is recorded: for loops that follow a capture, blocking or not."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from workbench.errors import ParameterError, QueryError
from workbench.store.columns import KEYS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from workbench.recording import Recording

INTERVAL_S = 0.1
"""The recorder flushes at least every 0.25 s."""
FORMATS = ("arrow", "polars", "pandas")


class Live:
    """The batches of a table, each row once and in the order of writing, until the capture ends.

    Made by :meth:`workbench.recording.Recording.live`. Use it in ``for`` or ``async for``; each
    loop begins at the first row (or at what comes from now on). A loop that is slower than the
    capture gets more rows at once, never fewer: what it has not read waits on disk.
    """

    def __init__(
        self,
        recording: Recording,
        table: str,
        *,
        max_rows: int = 1 << 16,
        interval: float = INTERVAL_S,
        new: bool = False,
        format: str = "arrow",
    ) -> None:
        if not isinstance(max_rows, int) or max_rows < 1:
            raise ParameterError(f"max_rows must be a number of rows, not {max_rows!r}.")
        need_interval(interval)
        need_format(format)
        if table in KEYS:
            raise QueryError(
                f"{table} cannot be followed row by row.",
                why="Later rows of it replace earlier ones.",
                advice="Read the table anew after session.refresh().",
            )
        self._recording = recording
        self.table = table
        self._max_rows = max_rows
        self._interval = interval
        self._new = new
        self._format = format

    def __iter__(self) -> Iterator[Any]:
        """Wait for batches, in this thread."""
        row = self._begin()
        over = False
        while not over:
            over = self._over()
            found = self._since(row)
            for done, batch in found:
                row = done
                if batch is not None:
                    yield converted(batch, self._format)
            if not over:
                time.sleep(self._interval)

    async def __aiter__(self) -> AsyncIterator[Any]:
        """Wait for batches without holding up the event loop: reading happens in a thread."""
        row = await asyncio.to_thread(self._begin)
        over = False
        while not over:
            over = await asyncio.to_thread(self._over)
            found = self._since(row)
            while (item := await asyncio.to_thread(next, found, None)) is not None:
                row, batch = item
                if batch is not None:
                    yield converted(batch, self._format)
            if not over:
                await asyncio.sleep(self._interval)

    def _begin(self) -> int:
        if not self._new or self._over():
            return 0
        tables = self._recording.tables
        return tables[self.table].written if self.table in tables else 0

    def _over(self) -> bool:
        """Look for new rows; whether these are the last ones."""
        self._recording.refresh()
        return self._recording.state != "recording"

    def _since(self, row: int) -> Iterator[tuple[int, Any]]:
        """Give what is there behind a row in batches of at most ``max_rows``; last, how far it is.

        The numbers are rows of the table that are done with.
        """
        import pyarrow as pa

        if self.table not in self._recording.tables:
            return
        pending: list[Any] = []
        rows = 0
        for end, batch in self._recording[self.table].since(row):
            for at in range(0, batch.num_rows, self._max_rows):
                part = batch.slice(at, self._max_rows)
                if pending and rows + part.num_rows > self._max_rows:
                    yield row, _joined(pa, pending)
                    pending, rows = [], 0
                pending.append(part)
                rows += part.num_rows
            row = end
        if pending:
            yield row, _joined(pa, pending)
        yield row, None


def need_interval(interval: float) -> None:
    """Refuse what is no time between two looks."""
    if not interval > 0:
        raise ParameterError(f"interval must be seconds, not {interval!r}.")


def need_format(format: str) -> None:
    """Refuse what is none of :data:`FORMATS`."""
    if format not in FORMATS:
        raise ParameterError(f"format must be one of {', '.join(FORMATS)}, not {format!r}.")


def converted(batch: Any, format: str) -> Any:
    """Return a record batch as one of :data:`FORMATS`."""
    if format == "arrow":
        return batch
    if format == "polars":
        import polars as pl

        return pl.DataFrame(batch)
    import pandas as pd

    return batch.to_pandas(types_mapper=pd.ArrowDtype)


def _joined(pa: Any, batches: list[Any]) -> Any:
    if len(batches) == 1:
        return batches[0]
    table = pa.Table.from_batches(batches).unify_dictionaries().combine_chunks()
    (made,) = table.to_batches()
    return made
