"""One table of a session, as Arrow, pandas, polars or a lazy query.

Rows are read when they are asked for, from a memory map, and only the columns that a query
needs. Lazy queries run through :func:`polars.io.plugins.register_io_source` with pyarrow
reading row groups: that works the same for a stream that still grows, a Parquet file, and a
Parquet file inside a saved session, copies no file, and leaves damaged files to pyarrow's
reader, which reports them as errors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from workbench.errors import QueryError
from workbench.selection import Selection, Window
from workbench.store.columns import KEYS
from workbench.store.guard import reading
from workbench.store.source import Source

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

_CHUNK = 1 << 17
"""Rows that are handed to polars at once; streams hold smaller batches."""


class Table:
    """A table of a session, narrowed to the session's selection.

    Parameters
    ----------
    name : str
        Its name.
    source : callable
        Returns where its rows come from now: a live session moves on.
    selection : Selection
        The rows to look at.
    """

    def __init__(self, name: str, source: Callable[[], Source], selection: Selection) -> None:
        self.name = name
        self._source = source
        self._selection = selection

    @property
    def schema(self) -> Any:
        """The pyarrow schema; fields have ``unit`` and ``meaning`` as metadata."""
        return self._source().schema

    @property
    def num_rows(self) -> int:
        """Number of selected rows that are there now."""
        if not self._selection:
            return self._source().num_rows
        import polars as pl

        return int(collected(self.lazy().select(pl.len())).item())

    @property
    def written(self) -> int:
        """Number of all rows that are there now, selected or not."""
        return self._source().num_rows

    def lazy(self) -> pl.LazyFrame:
        """Return a lazy polars query over the selected rows.

        It reads only the columns that the query needs, and row groups outside the session's
        window not at all.
        """
        from polars.io.plugins import register_io_source

        source = self._source()
        schema = polars_schema(source.schema)
        frame = register_io_source(
            _scan(source, self._window()), schema=schema, validate_schema=True, is_pure=True
        )
        condition = self._predicate()
        return frame if condition is None else frame.filter(condition)

    def polars(self) -> pl.DataFrame:
        """Return the selected rows as a polars DataFrame."""
        return collected(self.lazy())

    def arrow(self) -> Any:
        """Return the selected rows as a pyarrow Table.

        Rows of a stream are views of the memory-mapped file, not copies.
        """
        import pyarrow as pa

        return pa.Table.from_batches(self.batches(), self.schema)

    def pandas(self) -> pd.DataFrame:
        """Return the selected rows as a pandas DataFrame with Arrow-backed columns."""
        import pandas as pd

        frame: pd.DataFrame = self.arrow().to_pandas(types_mapper=pd.ArrowDtype)
        return frame

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[Any]:
        """Yield the selected rows as pyarrow record batches, in bounded memory.

        An expression given to ``where(expr=)`` may look at all rows at once (a mean, a rank);
        then the selected rows are collected first.

        Parameters
        ----------
        columns : sequence of str, optional
            Columns to read, in this order; by default all.
        """
        if self._predicate() is not None and self._selection.expressions:
            for batch in self._collected_batches(self._source().schema):
                yield batch if columns is None else batch.select(columns)
        else:
            parts = self._selected(0, columns, self._window())
            yield from (part for _, part in parts if part.num_rows)

    def slices(self, columns: Sequence[str], rows: int) -> Iterator[pl.DataFrame]:
        """Yield the selected rows as polars DataFrames, in order and in bounded memory.

        Where there is no expression given to ``where(expr=)``, nothing is read before it is asked
        for; polars' own engine would read ahead of whoever is slower than it.

        Parameters
        ----------
        columns : sequence of str
            Columns to read, in this order.
        rows : int
            Rows of a slice, about; the last has fewer.

        Raises
        ------
        QueryError, SessionCorruptError
            As of :func:`collected`.
        """
        import polars as pl

        if self._selection.expressions:
            yield from batches(self.lazy().select(columns), rows)
            return
        whole = _gathered(self.batches(columns), _only(self.schema, columns), rows)
        yield from (part for table in whole for part in pl.DataFrame(table).iter_slices(rows))

    def since(self, row: int, columns: Sequence[str] | None = None) -> Iterator[tuple[int, Any]]:
        """Yield what was written behind a row: what has come since then.

        Parameters
        ----------
        row : int
            Rows to pass over, of all rows, selected or not.
        columns : sequence of str, optional
            Columns to read, in this order; by default all.

        Yields
        ------
        rows : int
            How many rows were written up to the end of the batch.
        batch : pyarrow.RecordBatch
            The selected rows of it.
        """
        yield from self._selected(row, columns, None)

    def _selected(
        self, row: int, columns: Sequence[str] | None, window: Window | None
    ) -> Iterator[tuple[int, Any]]:
        """Yield as :meth:`since`; with a window, batches outside it are left out, uncounted."""
        condition = self._predicate()
        source = self._source()
        names = sorted(set(condition.meta.root_names())) if condition is not None else []
        read = None if columns is None else list(dict.fromkeys((*columns, *names)))
        for batch in source.batches(read, window, row):
            row += batch.num_rows
            part = batch
            if condition is not None:
                part = batch.filter(_mask(batch.select(names), condition))
            yield row, part if columns is None else part.select(columns)

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        import pyarrow as pa

        reader = pa.RecordBatchReader.from_batches(self.schema, self.batches())
        return reader.__arrow_c_stream__(requested_schema)

    def __len__(self) -> int:
        return self.num_rows

    def __repr__(self) -> str:
        columns = ", ".join(self.schema.names)
        rows = "selected rows" if self._selection else f"{self.num_rows:,} rows"
        return f"<Table {self.name}: {rows}; {columns}>"

    def _collected_batches(self, schema: Any) -> Iterator[Any]:
        import polars as pl

        table = self.polars().to_arrow(compat_level=pl.CompatLevel.oldest())
        yield from table.cast(schema).combine_chunks().to_batches(_CHUNK)

    def _window(self) -> Window | None:
        # Rows of processes hold from their time on: those before the window are needed, too.
        return None if self.name == "processes" else self._selection.window

    def _predicate(self) -> pl.Expr | None:
        if not self._selection:
            return None
        if self._selection.window and self.name.endswith("_agg") and self.name in KEYS:
            raise QueryError(
                f"{self.name} holds counts of the whole recording: it cannot be cut in time.",
                advice="Record single calls: workbench record syscalls (without aggregation)",
            )
        ended = self.name == "processes"
        return self._selection.predicate(self.schema.names, ended=ended)


def collected(frame: pl.LazyFrame, *, streaming: bool = False) -> pl.DataFrame:
    """Run a lazy query; what goes wrong is a QueryError or what reading raised.

    Parameters
    ----------
    frame : polars.LazyFrame
    streaming : bool
        Read slice by slice: memory goes by the groups of a ``group_by``, not by the rows that are
        summed; the order of rows is only kept where the query says so.

    Raises
    ------
    QueryError
        polars cannot run the query.
    SessionCorruptError
        The session is damaged.
    """
    with _querying():
        return frame.collect(engine="streaming" if streaming else "auto")


def batches(frame: pl.LazyFrame, rows: int) -> Iterator[pl.DataFrame]:
    """Run a lazy query and yield its rows in order, so many at once, in bounded memory.

    Raises
    ------
    QueryError, SessionCorruptError
        As of :func:`collected`.
    """
    with _querying():
        yield from frame.collect_batches(chunk_size=rows, maintain_order=True, engine="streaming")


@contextmanager
def _querying() -> Iterator[None]:
    import polars as pl

    try:
        with reading("The session"):
            yield
    except Exception as error:
        if isinstance(error.__cause__, pl.exceptions.PolarsError):
            raise QueryError("The query cannot be run.", why=str(error.__cause__)) from error
        raise


def polars_schema(schema: Any) -> pl.Schema:
    """Return the polars schema of a pyarrow schema."""
    import polars as pl

    with reading("The session"):
        return pl.DataFrame(schema.empty_table()).schema


def _scan(source: Source, window: Window | None) -> Any:
    """Return the function that polars calls to read a table."""

    def scan(
        columns: list[str] | None, condition: pl.Expr | None, rows: int | None, size: int | None
    ) -> Iterator[pl.DataFrame]:
        import polars as pl

        left = rows
        for table in _chunks(source, columns, window, size or _CHUNK):
            part = table if left is None else table.slice(0, left)
            left = None if left is None else left - part.num_rows
            frame = pl.DataFrame(part)
            yield frame if condition is None else frame.filter(condition)
            if left == 0:
                return

    return scan


def _chunks(
    source: Source, columns: list[str] | None, window: Window | None, size: int
) -> Iterator[Any]:
    """Yield pyarrow tables of about `size` rows or more, at least one."""
    import pyarrow as pa

    schema = source.schema if columns is None else _only(source.schema, columns)
    nothing = True
    for table in _gathered(source.batches(columns, window), schema, size):
        yield table
        nothing = False
    if nothing:
        yield pa.Table.from_batches([], schema)


def _gathered(batches: Iterator[Any], schema: Any, size: int) -> Iterator[Any]:
    """Yield batches as pyarrow tables of about `size` rows or more."""
    import pyarrow as pa

    pending: list[Any] = []
    rows = 0
    for batch in batches:
        pending.append(batch)
        rows += batch.num_rows
        if rows >= size:
            yield pa.Table.from_batches(pending, schema)
            pending, rows = [], 0
    if pending:
        yield pa.Table.from_batches(pending, schema)


def _only(schema: Any, columns: Sequence[str]) -> Any:
    """Return the schema of some columns."""
    import pyarrow as pa

    return pa.schema([schema.field(name) for name in columns])


def _mask(batch: Any, condition: pl.Expr) -> Any:
    import polars as pl

    return pl.DataFrame(batch).select(condition).to_series().to_arrow()
