"""Columns of each thread as JSON, made of rows of all threads that come in the order of time."""

from __future__ import annotations

import tempfile
from typing import IO, TYPE_CHECKING

from workbench.formats._json import dumps, put_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import polars as pl

    Column = Callable[[pl.DataFrame], pl.Series]
    Who = tuple[int, int]

_SPOOL = 1 << 24
"""Bytes that wait in memory; more do in a temporary file without a name."""
_BLOCK = 1 << 16


class Columns:
    """Columns that wait until their thread has its turn.

    Formats hold one thread after the other, and of each one column after the other. Memory goes by
    a part of the rows, and disk by what is written; the session is read once for all threads.

    Parameters
    ----------
    columns : mapping of str to callable
        Return a column of rows, see :func:`workbench.formats._json.put_values`.
    """

    def __init__(self, columns: Mapping[str, Column]) -> None:
        self._columns = columns
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(_SPOOL)  # noqa: SIM115  close() does
        self._places: dict[Who, dict[str, list[tuple[int, int]]]] = {}
        self._lengths: dict[Who, int] = {}
        self._end = 0

    def __enter__(self) -> Columns:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, parts: Iterable[pl.DataFrame]) -> None:
        """Take rows: ``pid``, ``tid`` (i64) and what the columns are made of."""
        for part in parts:
            groups = part.partition_by("pid", "tid", as_dict=True, maintain_order=True)
            for (pid, tid), rows in groups.items():
                self._add((pid, tid), rows)

    def _add(self, who: Who, rows: pl.DataFrame) -> None:
        places = self._places.setdefault(who, {name: [] for name in self._columns})
        for name, column in self._columns.items():
            if places[name]:
                self._file.write(b",")
            put_values(self._file, column(rows))
            stop = self._file.tell()
            places[name].append((self._end, stop - self._end))
            self._end = stop
        self._lengths[who] = self._lengths.get(who, 0) + len(rows)

    def threads(self) -> list[Who]:
        """Return the threads that have rows, sorted by process and thread."""
        return sorted(self._places)

    def put(self, file: IO[bytes], who: Who) -> None:
        """Write the columns of a thread, and their ``length``: what stands in an object."""
        places = self._places.get(who, {})
        for name in self._columns:
            file.write(dumps(name) + b":[")
            for start, size in places.get(name, ()):
                self._file.seek(start)
                _copy(self._file, file, size)
            file.write(b"],")
        file.write(b'"length":' + dumps(self._lengths.get(who, 0)))


def _copy(source: IO[bytes], target: IO[bytes], size: int) -> None:
    while size > 0:
        block = source.read(min(size, _BLOCK))
        target.write(block)
        size -= len(block)
