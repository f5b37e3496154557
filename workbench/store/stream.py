"""Reading Arrow IPC streams: while they grow, and when their writer died in the middle."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from workbench.errors import SessionCorruptError
from workbench.store.columns import check_schema
from workbench.store.guard import reading
from workbench.store.ipc import BATCH, SCHEMA, Message, at_end, messages
from workbench.store.mapping import Mapped


class Stream:
    """The whole batches of one ``TABLE.arrows`` file, memory-mapped.

    Parameters
    ----------
    path : Path
        The file.
    table : str
        Name of the table.

    Raises
    ------
    SessionCorruptError
        When the file does not start with a usable schema. A damaged or missing end is no
        error: what stands before it is readable, see :attr:`truncated`.
    """

    def __init__(self, path: Path, table: str) -> None:
        self.path = path
        self.table = table
        self.schema: Any = None
        self._mapped: Mapped
        self._buffer: Any
        self._batches: list[Message] = []
        self._end = 0
        self._plain = True
        self.refresh()

    @property
    def num_rows(self) -> int:
        """Rows of the whole batches."""
        return sum(message.rows for message in self._batches)

    @property
    def truncated(self) -> bool:
        """Whether something that is no whole batch follows the last whole batch."""
        return self.schema is None or not at_end(self._buffer, self._end)

    def refresh(self) -> int:
        """Look for batches that were written since; return the number of new rows."""
        self._mapped = Mapped(self.path)
        self._buffer = self._mapped.buffer
        if self.schema is None:
            self._read_schema()
        new = 0
        for message in messages(self._buffer, self._end):
            self._end = message.end
            if message.kind == BATCH:
                self._batches.append(message)
                new += message.rows
            elif message.kind == SCHEMA:
                raise self._damaged("a second schema")
        return new

    def release(self) -> None:
        """Give memory back that was taken by reading; batches in use stay valid."""
        self._mapped.release()

    def batch_of(self, row: int) -> tuple[int, int]:
        """Return the index of the batch that holds a row, and how many rows precede the batch.

        For a row that is not there yet these are the number of batches and of rows.
        """
        ends = np.cumsum([message.rows for message in self._batches])
        index = int(np.searchsorted(ends, row, side="right"))
        return index, int(ends[index - 1]) if index else 0

    def batches(self, start: int = 0) -> Iterator[Any]:
        """Yield the batches from the one with index `start` on, validated, without a copy.

        Raises
        ------
        SessionCorruptError
            When a batch is damaged.
        """
        found = self._direct(start) if self._plain else self._sequential(start)
        while True:
            with reading(self.path):
                batch = next(found, None)
                if batch is None:
                    return
                batch.validate(full=True)
            yield batch

    def _direct(self, start: int) -> Iterator[Any]:
        import pyarrow as pa

        for message in self._batches[start:]:
            part = self._buffer.slice(message.start, message.end - message.start)
            batch = pa.ipc.read_record_batch(part, self.schema)
            if batch.num_rows != message.rows:
                raise self._damaged("a batch has another number of rows than it says")
            yield batch

    def _sequential(self, start: int) -> Iterator[Any]:
        """Read from the beginning: dictionaries may be replaced on the way."""
        import pyarrow as pa

        if not self._batches:
            return
        reader = pa.ipc.open_stream(self._buffer.slice(0, self._end))
        for index in range(len(self._batches)):
            batch = reader.read_next_batch()
            if index >= start:
                yield batch

    def _read_schema(self) -> None:
        import pyarrow as pa

        first = next(messages(self._buffer, 0), None)
        if first is None and len(self._buffer) < 1 << 16:
            return  # the writer has not come so far
        if first is None or first.kind != SCHEMA:
            raise self._damaged("no schema")
        with reading(self.path):
            schema = pa.ipc.read_schema(self._buffer.slice(0, first.end))
            check_schema(self.table, schema)
        self.schema, self._end = schema, first.end
        self._plain = not any(pa.types.is_dictionary(field.type) for field in schema)

    def _damaged(self, why: str) -> SessionCorruptError:
        return SessionCorruptError(f"{self.path} is damaged.", why=why)
