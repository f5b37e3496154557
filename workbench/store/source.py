"""Where the rows of a table come from: a stream that may grow, or a Parquet file.

Both give record batches of the columns that are asked for, with the derived columns, checked.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from workbench.errors import SessionCorruptError
from workbench.store.columns import KEYS, check_schema
from workbench.store.decorate import Decorator, fixed
from workbench.store.guard import reading
from workbench.store.latest import latest
from workbench.store.stream import Stream

MAX_GROUP_ROWS = 1 << 22
"""Rows of a row group that is read at once; the writer's have an eighth of it."""

Window = tuple[int, int]
"""Times t0 <= t < t1, ns UTC."""


class Source(Protocol):
    """The rows of one table."""

    name: str

    @property
    def schema(self) -> Any:
        """The pyarrow schema with the derived columns."""

    @property
    def num_rows(self) -> int:
        """Rows that are there now."""

    def batches(
        self,
        columns: Sequence[str] | None = None,
        window: Window | None = None,
        start: int = 0,
    ) -> Iterator[Any]:
        """Yield record batches with those columns, in the order of writing.

        Parameters
        ----------
        columns : sequence of str, optional
            Default all.
        window : (int, int), optional
            Batches without any row in it may be left out; rows are not cut.
        start : int
            Rows to pass over: what was written first.
        """

    def refresh(self) -> bool:
        """Look for new rows; return whether there are."""


class StreamSource:
    """Rows of a stream, decorated as they are read.

    Parameters
    ----------
    stream : Stream
        The file.
    decorate : callable
        Returns the session's current decorator.
    """

    def __init__(self, stream: Stream, decorate: Callable[[], Decorator]) -> None:
        self.name = stream.table
        self.stream = stream
        self._decorate = decorate
        self._latest: Any = None

    @property
    def schema(self) -> Any:
        """The pyarrow schema with the derived columns."""
        return self._decorate().schema(self.name, self.stream.schema)

    @property
    def num_rows(self) -> int:
        """Rows of the whole batches; of the last ones where a row replaces earlier ones."""
        return self._compacted().num_rows if self.name in KEYS else self.stream.num_rows

    def refresh(self) -> bool:
        """Look for new batches; return whether there are."""
        if self.stream.refresh():
            self._latest = None
            return True
        return False

    def batches(
        self,
        columns: Sequence[str] | None = None,
        window: Window | None = None,
        start: int = 0,
    ) -> Iterator[Any]:
        """Yield decorated batches, see :class:`Source`."""
        if self.name in KEYS:
            raw = iter(self._compacted().slice(start).to_batches())
        else:
            first, passed = self.stream.batch_of(start)
            raw = _without_first(self.stream.batches(first), start - passed)
        decorate = self._decorate()
        for batch in raw:
            with reading(self.stream.path):
                if not _meets(batch, window):
                    continue
                made = decorate.batch(self.name, batch, columns)
            yield made

    def _compacted(self) -> Any:
        if self._latest is None:
            with reading(self.stream.path):
                self._latest = latest(self.name, self.stream.schema, self.stream.batches())
        return self._latest


def _without_first(batches: Iterator[Any], rows: int) -> Iterator[Any]:
    """Pass over the first rows."""
    for batch in batches:
        if batch.num_rows > rows:
            yield batch.slice(rows)
        rows = max(0, rows - batch.num_rows)


def _meets(batch: Any, window: Window | None) -> bool:
    """Return whether a batch has rows between the ends of a window."""
    if window is None or "ts" not in batch.schema.names:
        return True
    ts = fixed(batch.column("ts"), np.int64)
    return bool(len(ts)) and bool(ts.min() < window[1]) and bool(ts.max() >= window[0])


class ParquetSource:
    """Rows of a Parquet file, which may stand inside another, memory-mapped one.

    Parameters
    ----------
    path : Path
        The session, for messages.
    name : str
        Name of the table.
    content : callable
        Returns the file's bytes as a pyarrow buffer; called at first use.
    rows : int
        Number of rows as the manifest says.

    Raises
    ------
    SessionCorruptError
        At first use: the file is damaged, or is not the table that the manifest promises.
    """

    def __init__(self, path: Path, name: str, content: Callable[[], Any], rows: int) -> None:
        self.path = path
        self.name = name
        self.num_rows = rows
        self._content = content
        self._opened: Any = None
        # One reader of a file does not serve two threads, and polars scans both sides of a join at
        # once: "ReadRangeCache did not find matching cache entry" (pyarrow 26).
        self._reading = threading.Lock()

    @property
    def schema(self) -> Any:
        """The pyarrow schema with the derived columns."""
        return self._file().schema_arrow.remove_metadata()

    def refresh(self) -> bool:
        """Return False: a Parquet file never grows."""
        return False

    def batches(
        self,
        columns: Sequence[str] | None = None,
        window: Window | None = None,
        start: int = 0,
    ) -> Iterator[Any]:
        """Yield the batches of one row group after the other, see :class:`Source`."""
        file = self._file()
        names = list(columns) if columns is not None else None
        for group in range(file.num_row_groups):
            with reading(self.path, self.name):
                rows = file.metadata.row_group(group).num_rows
                passed, start = min(start, rows), max(0, start - rows)
                if passed == rows or not self._may_meet(group, window):
                    continue
                with self._reading:
                    table = file.read_row_group(group, columns=names).slice(passed)
                made = (table.select(names) if names is not None else table).to_batches()
                for batch in made:
                    batch.validate(full=True)
            yield from made

    def _file(self) -> Any:
        with self._reading:
            if self._opened is None:
                with reading(self.path, self.name):
                    self._opened = self._open()
            return self._opened

    def _open(self) -> Any:
        import pyarrow as pa
        import pyarrow.parquet as pq

        file = pq.ParquetFile(
            pa.BufferReader(self._content()),
            page_checksum_verification=True,
            thrift_string_size_limit=16 << 20,
            thrift_container_size_limit=1 << 20,
        )
        check_schema(self.name, file.schema_arrow)
        metadata = file.metadata
        groups = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        if any(not 0 <= rows <= MAX_GROUP_ROWS for rows in groups):
            raise self._damaged("a row group has an impossible number of rows")
        if not sum(groups) == metadata.num_rows == self.num_rows:
            raise self._damaged("it has another number of rows than the manifest says")
        return file

    def _may_meet(self, group: int, window: Window | None) -> bool:
        file = self._file()
        if window is None or "ts" not in file.schema_arrow.names:
            return True
        column = file.metadata.row_group(group).column(file.schema_arrow.names.index("ts"))
        statistics = column.statistics
        if column.path_in_schema != "ts" or statistics is None or not statistics.has_min_max:
            return True
        return bool(statistics.min_raw < window[1] and statistics.max_raw >= window[0])

    def _damaged(self, why: str) -> SessionCorruptError:
        return SessionCorruptError(f"{self.path} ({self.name}) is damaged.", why=why)
