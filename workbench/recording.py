"""A recorded session as tables: the one way from a session on disk to dataframes.

A :class:`Recording` needs no privilege and runs nothing that it reads. It opens a saved file, a
directory, or one that is being recorded, in which case :meth:`Recording.refresh` shows what was
flushed since. :meth:`Recording.window` and :meth:`Recording.where` give further recordings that
share the files and look at fewer rows.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from workbench.errors import MissingTableError, QueryError, SessionError
from workbench.live import INTERVAL_S, Live
from workbench.queries import columns_of, run
from workbench.schema import SIDE_TABLES
from workbench.selection import Selection, Time, datetime_of
from workbench.store.manifest import Manifest
from workbench.store.reader import Store, open_store
from workbench.store.save import save_store
from workbench.store.source import Source
from workbench.summary import as_html, as_text, losses_frame, overhead_frame
from workbench.table import Table, collected

if TYPE_CHECKING:
    import polars as pl


class Recording:
    """A session that is read. Use :meth:`open`.

    Parameters
    ----------
    store : Store
        The files.
    selection : Selection
        The rows to look at; default all.
    """

    def __init__(self, store: Store, selection: Selection | None = None) -> None:
        self._store = store
        self._selection = selection or Selection()

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, verify: bool | None = None) -> Self:
        """Open a session: a saved file, or a directory, also one that is being recorded.

        Parameters
        ----------
        path : path
            The session.
        verify : bool, optional
            Of a saved file: True compares every table with its CRC-32 now, False none; by
            default tables of at most 256 MB are compared when they are first used.

        Raises
        ------
        SessionNotFoundError, SessionCorruptError, SessionVersionError, StorageError
            See :func:`workbench.store.reader.open_store`.
        """
        return cls(open_store(path, verify=verify))

    @property
    def path(self) -> Path:
        """Where the session is."""
        return self._store.path

    @property
    def manifest(self) -> Manifest:
        """What was recorded, where, when, and what was lost."""
        return self._store.manifest

    @property
    def kinds(self) -> tuple[str, ...]:
        """The capture kinds of the session."""
        return tuple(self.manifest.kinds)

    @property
    def state(self) -> str:
        """``recording``, ``complete``, or ``recovered`` when the recorder died."""
        return self.manifest.state

    @property
    def selection(self) -> Selection:
        """The rows that are looked at."""
        return self._selection

    @property
    def whole(self) -> Self:
        """The same session without the selection, sharing the files."""
        return type(self)(self._store)

    @property
    def start(self) -> datetime:
        """When the recording began, UTC."""
        return datetime_of(self.manifest.start_ns)

    @property
    def duration(self) -> timedelta:
        """How long the recording took, or takes up to now."""
        stop = self.manifest.stop_ns
        if stop is None:
            stop = time.time_ns() if self.state == "recording" else self._last()
        return timedelta(microseconds=(stop - self.manifest.start_ns) // 1000)

    @property
    def seconds(self) -> float:
        """Seconds of the recording that lie in the selection's window: what rates refer to."""
        start = self.manifest.start_ns
        stop = start + int(self.duration.total_seconds() * 1e9)
        low, high = self._selection.window or (start, stop)
        return max(0, min(stop, high) - max(start, low)) / 1e9

    @property
    def tables(self) -> Mapping[str, Table]:
        """The tables by name, those of events first."""
        names = sorted(self._store.sources, key=lambda name: (name in SIDE_TABLES, name))
        return {name: self._table(name) for name in names}

    def __getitem__(self, name: str) -> Table:
        if name in self._store.sources:
            return self._table(name)
        held = ", ".join(self.tables) or "none; it is empty or closed"
        raise MissingTableError(
            f"{self.path.name} holds no table {name!r}.", why=f"Its tables are: {held}."
        )

    @property
    def events(self) -> Table:
        """The events of the only kind, or of the first one.

        Raises
        ------
        MissingTableError
            The session holds no events.
        """
        kind = next(iter(self.kinds), "")
        aggregated = f"{kind}_agg"
        return self[aggregated if kind not in self.tables and aggregated in self.tables else kind]

    def sql(self, query: str) -> pl.DataFrame:
        """Run a SQL query (the dialect of polars) on the tables.

        Parameters
        ----------
        query : str
            Such as ``select name, count(*) as n from syscalls group by name order by n desc``.
            ``args[1]`` is the first argument register.

        Raises
        ------
        QueryError
            It cannot be run; the text lists tables and columns.
        SessionCorruptError
            A table is damaged.
        """
        return run(query, self.tables)

    @property
    def losses(self) -> pl.DataFrame:
        """Events produced, delivered and dropped (in all and by reason) per kind and CPU."""
        return losses_frame(self.manifest)

    @property
    def overhead(self) -> pl.DataFrame:
        """Measured cost of each BPF program."""
        return overhead_frame(self.manifest)

    def window(self, t0: Time = None, t1: Time = None) -> Self:
        """Return the part of the session from `t0` up to, and without, `t1`.

        Parameters
        ----------
        t0, t1 : datetime, int, timedelta, float or None
            UTC time (datetime or ns since 1970), or time since the start of the session
            (timedelta or seconds as float); None leaves that end open.

        Returns
        -------
        Recording
            Lazy, sharing the files with this one. Tables of events are cut; of ``processes``
            the rows up to `t1` are kept, because they hold from their time on.

        Raises
        ------
        QueryError
            An end is no time, or `t1` is before `t0`.
        """
        return type(self)(self._store, self._selection.cut(t0, t1, self.manifest.start_ns))

    def where(
        self,
        *,
        pid: Any = None,
        tid: Any = None,
        comm: Any = None,
        cpu: Any = None,
        name: Any = None,
        expr: Any = None,
    ) -> Self:
        """Return the rows that meet all conditions, in every table that has the column.

        Parameters
        ----------
        pid, tid, cpu : int or iterable of int
            Processes, threads, CPUs.
        comm, name : str or iterable of str
            Thread names, names of system calls.
        expr : polars.Expr or str
            A condition in polars or SQL; it concerns tables that have all of its columns.

        Raises
        ------
        QueryError
            A value has the wrong type, or no table has the column.
        """
        selection = self._selection
        given = {"pid": pid, "tid": tid, "comm": comm, "cpu": cpu, "name": name}
        for column, values in given.items():
            if values is not None:
                self._require({column})
                selection = selection.having(column, values)
        if expr is not None:
            selection = selection.meeting(expr)
            self._require(set(selection.expressions[-1].meta.root_names()))
        return type(self)(self._store, selection)

    def refresh(self) -> bool:
        """Look for what a running recorder has flushed since; return whether anything is new."""
        return self._store.refresh()

    def live(
        self,
        table: str | None = None,
        *,
        max_rows: int = 1 << 16,
        interval: float = INTERVAL_S,
        new: bool = False,
        format: str = "arrow",
    ) -> Live:
        """Return the batches of a table as they come, to be used in ``for`` or ``async for``.

        Each selected row comes once, in the order of writing, until the capture ends; of a
        finished session all rows come at once. ``comm`` is what was known when it came.

        Parameters
        ----------
        table : str, optional
            By default the events of the first kind.
        max_rows : int
            Rows of a batch at most.
        interval : float
            Seconds between two looks at a running capture.
        new : bool
            Begin with what comes from now on, not with the first row.
        format : str
            ``arrow`` (pyarrow.RecordBatch), ``polars`` or ``pandas``.

        Raises
        ------
        ParameterError, QueryError, MissingTableError

        Examples
        --------
        >>> with wb.capture("syscalls", pid=pid) as session:        # doctest: +SKIP
        ...     async for batch in session.live(format="polars"):
        ...         chart.add(batch.group_by("name").len())
        """
        name = table or (self.kinds[0] if self.kinds else "")
        if name not in self.kinds:
            self[name]  # a table of the side, or none
        return Live(self, name, max_rows=max_rows, interval=interval, new=new, format=format)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Save the session, or the selected part of it, as one file.

        Parameters
        ----------
        path : path
            The file; it appears when it is whole, and replaces an existing file.

        Raises
        ------
        StorageError
            It cannot be written.
        """
        tables = {name: (table.schema, table.batches()) for name, table in self.tables.items()}
        return save_store(self._store, tables, Path(path), self._selection.describe())

    def close(self) -> None:
        """Let go of the files; tables that were read stay usable."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Table]:
        return iter(self.tables.values())

    def __repr__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        return as_html(self)

    def _table(self, name: str) -> Table:
        return Table(name, partial(self._source, name), self._selection)

    def _source(self, name: str) -> Source:
        try:
            return self._store.sources[name]
        except KeyError:
            raise SessionError(f"{self.path.name} is closed.", advice="Open it again.") from None

    def _require(self, columns: set[str]) -> None:
        if not any(columns <= set(table.schema.names) for table in self):
            raise QueryError(
                f"No table has the column {', '.join(sorted(columns))}.", advice=columns_of(self)
            )

    def _last(self) -> int:
        """Return the time of the last event, ns UTC; the start when there is none."""
        import polars as pl

        last = self.manifest.start_ns
        for name in self._store.sources:
            if name not in SIDE_TABLES:
                frame = Table(name, partial(self._source, name), Selection()).lazy()
                found = collected(frame.select(pl.col("ts").cast(pl.Int64).max())).item()
                last = max(last, found or last)
        return last
