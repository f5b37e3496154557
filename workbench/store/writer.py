"""Writing a session: append batches while it is recorded, convert to Parquet at the end."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from workbench.errors import StorageError, WorkbenchError
from workbench.store.checks import NAME
from workbench.store.convert import convert, decorator, sync
from workbench.store.guard import writing
from workbench.store.lock import remove_lock, write_lock
from workbench.store.manifest import MANIFEST_NAME, Manifest
from workbench.store.stream import Stream
from workbench.store.write_behind import WriteBehind


class SessionWriter:
    """The one writer of a session directory.

    A batch is handed to the kernel within :meth:`append`, so that readers in other processes
    see it and a death of this process does not lose it. Nothing is synced to the disk before
    :meth:`finish`.

    Use :meth:`create`. As a context manager it finishes the session at the end of the block;
    on an exception it leaves the streams as they are, to be recovered.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest
        self._streams: dict[str, tuple[Any, Any, WriteBehind]] = {}
        self._rows: dict[str, int] = {}
        self._failed: WorkbenchError | None = None

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        manifest: Manifest,
        schemas: Mapping[str, Any] | None = None,
    ) -> SessionWriter:
        """Make the directory of a new session.

        Parameters
        ----------
        path : path
            Must not exist, or be an empty directory.
        manifest : Manifest
            What is known at the start; its state becomes ``recording``.
        schemas : mapping of str to pyarrow.Schema, optional
            Tables that are to be there even when they stay empty.

        Raises
        ------
        StorageError
            The directory cannot be made or is not empty.
        """
        directory = Path(path)
        with writing(directory):
            directory.mkdir(parents=True, exist_ok=True)
            if any(directory.iterdir()):
                raise StorageError(
                    f"{directory} is not empty.", advice="Choose another name for the session."
                )
            write_lock(directory)
        writer = cls(directory, replace(manifest, state="recording"))
        for table, schema in (schemas or {}).items():
            writer.add_table(table, schema)
        writer.update()  # last: who waits for the manifest finds all tables
        return writer

    def add_table(self, table: str, schema: Any) -> None:
        """Start the stream of a table, so that readers find it before its first row."""
        import pyarrow as pa

        if not NAME.fullmatch(table):
            raise ValueError(f"{table!r} is no name of a table")
        with writing(self.path):
            path = str(self._file(table))
            sink = pa.OSFile(path, "wb")
            self._streams[table] = (pa.ipc.new_stream(sink, schema), sink, WriteBehind(path))
        self._rows[table] = 0

    def append(self, table: str, batch: Any) -> None:
        """Append a record batch to the stream of a table; it is flushed on return.

        Parameters
        ----------
        table : str
            The table; its stream is started at the first batch.
        batch : pyarrow.RecordBatch
            All batches of a table have the same schema.

        Raises
        ------
        StorageError
            The disk is full or cannot be written. The stream is closed to further batches;
            what was appended before stays readable.
        """
        if self._failed:
            raise self._failed
        if table not in self._streams:
            self.add_table(table, batch.schema)
        try:
            with writing(self.path):
                writer, sink, behind = self._streams[table]
                writer.write_batch(batch)
                behind.grown(sink.tell())
        except StorageError as error:
            self._failed = error
            raise
        self._rows[table] += batch.num_rows

    def flush(self) -> None:
        """Do nothing: :meth:`append` leaves nothing in this process. Kept for callers' clarity."""

    def update(self, **changes: Any) -> None:
        """Change fields of the manifest and rewrite it atomically, with the current row counts.

        Parameters
        ----------
        **changes
            Fields of :class:`~workbench.store.manifest.Manifest`, such as ``losses``.
        """
        rows = {table: {"rows": count} for table, count in self._rows.items()}
        self.manifest = replace(self.manifest, **({"tables": rows} if rows else {}) | changes)
        write_manifest(self.path, self.manifest)

    def finish(self, state: str = "complete", reason: str = "", **changes: Any) -> None:
        """End the recording: every stream becomes a Parquet file with derived columns.

        Parameters
        ----------
        state : str
            ``complete`` or ``recovered``.
        reason : str
            Why the recording stopped.
        **changes
            Last changes of the manifest, such as ``stop_ns`` and ``losses``.

        Raises
        ------
        StorageError
            The disk is full; the streams stay as they are and can be recovered.
        """
        self.close()
        self.update(**changes)
        tables = finish_directory(self.path, self.manifest.machine)
        self._rows = {}
        self.update(state=state, reason=reason or self.manifest.reason, tables=tables)
        remove_streams(self.path)

    def close(self) -> None:
        """Close the streams and leave them as they are."""
        for writer, sink, behind in self._streams.values():
            behind.close()
            try:
                with writing(self.path):
                    if not self._failed:
                        writer.close()
                    sink.close()
            except StorageError as error:
                self._failed = error
        self._streams = {}

    def __enter__(self) -> SessionWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.finish()
        else:
            self.close()

    def _file(self, table: str) -> Path:
        return self.path / f"{table}.arrows"


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Replace the manifest of a session atomically."""
    target = directory / MANIFEST_NAME
    part = directory / f"{MANIFEST_NAME}.part"
    text = manifest.to_json()
    with writing(target):
        try:
            with part.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            part.replace(target)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def finish_directory(directory: Path, machine: str) -> dict[str, dict[str, int]]:
    """Write a Parquet file for every stream of a directory; return ``tables`` of the manifest."""
    decorate = decorator(directory, machine)
    tables = {}
    for path in sorted(directory.glob("*.arrows")):
        stream = Stream(path, path.stem)
        if stream.schema is not None:
            tables[path.stem] = convert(stream, decorate, path.with_suffix(".parquet"))
    with writing(directory):
        sync(directory)
    return tables


def remove_streams(directory: Path) -> None:
    """Remove the streams, now that the manifest names their Parquet files, and the lock."""
    with writing(directory):
        for path in directory.glob("*.arrows"):
            path.unlink()
        remove_lock(directory)
