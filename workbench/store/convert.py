"""From the streams of a finished recording to Parquet, batch by batch in bounded memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from workbench.store.columns import KEYS
from workbench.store.comms import CommIndex
from workbench.store.decorate import Decorator
from workbench.store.guard import reading, writing
from workbench.store.integrity import Checksummed
from workbench.store.latest import latest
from workbench.store.stream import Stream

ROW_GROUP = 1 << 19
"""Rows of a row group: large enough to compress, small enough to skip by time."""

_COMPRESSION_LEVEL = 1
_WIDE = ("timestamp", "duration", "uint64", "double", "float", "list", "fixed_size_list")
"""Types of which nearly every value differs: a dictionary would only cost time."""


def decorator(directory: Path, machine: str) -> Decorator:
    """Return the decorator for the streams of a session, from its ``processes.arrows``."""
    path = directory / "processes.arrows"
    if not path.exists():
        return Decorator(CommIndex.empty(), machine)
    stream = Stream(path, "processes")
    if not stream.num_rows:
        return Decorator(CommIndex.empty(), machine)
    return Decorator(CommIndex.from_batches(stream.batches()), machine)


def convert(stream: Stream, decorate: Decorator, path: Path) -> dict[str, int]:
    """Write a stream with its derived columns as Parquet; return its entry in the manifest.

    Parameters
    ----------
    stream : Stream
        A table as it was recorded.
    decorate : Decorator
        Adds the derived columns.
    path : Path
        The Parquet file; it appears under this name only when it is whole and on disk.

    Raises
    ------
    StorageError
        The disk is full or cannot be written; nothing is left behind at `path`.
    SessionCorruptError
        The stream is damaged.
    """
    name = stream.table
    batches: Iterable[Any] = stream.batches()
    if name in KEYS:
        with reading(stream.path):
            batches = latest(name, stream.schema, batches).to_batches()
    seen = (decorate.batch(name, batch) for batch in _released(stream, batches))
    return write_parquet(decorate.schema(name, stream.schema), seen, path)


def write_parquet(schema: Any, batches: Iterable[Any], path: Path) -> dict[str, int]:
    """Write batches as one Parquet file, atomically.

    Returns
    -------
    dict of str to int
        ``rows`` and ``crc32`` of the file, as the manifest names them.
    """
    part = path.with_name(path.name + ".part")
    try:
        with writing(path):
            with part.open("wb") as file:
                checked = Checksummed(file)
                rows = write_groups(schema, batches, checked)
            sync(part)
            part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return {"rows": rows, "crc32": checked.crc}


def write_groups(schema: Any, batches: Iterable[Any], file: Any) -> int:
    """Write batches as Parquet to an open file, one row group after the other; return the rows."""
    import pyarrow.parquet as pq

    rows = 0
    with pq.ParquetWriter(file, schema, **_options(schema)) as writer:
        for group in _groups(schema, batches):
            writer.write_table(group, row_group_size=ROW_GROUP)
            rows += group.num_rows
    return rows


def sync(path: Path) -> None:
    """Have the kernel write a file, or the entries of a directory, to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _released(stream: Stream, batches: Iterable[Any]) -> Iterator[Any]:
    """Pass batches on, and give back the memory of those that were read."""
    rows = 0
    for batch in batches:
        yield batch
        rows += batch.num_rows
        if rows > ROW_GROUP:
            stream.release()
            rows = 0


def _groups(schema: Any, batches: Iterable[Any]) -> Iterator[Any]:
    """Collect batches to tables of one row group, or a little more."""
    import pyarrow as pa

    pending: list[Any] = []
    rows = 0
    for batch in batches:
        pending.append(batch)
        rows += batch.num_rows
        if rows >= ROW_GROUP:
            yield pa.Table.from_batches(pending, schema).unify_dictionaries()
            pending, rows = [], 0
    if rows:
        yield pa.Table.from_batches(pending, schema).unify_dictionaries()


def _options(schema: Any) -> dict[str, Any]:
    narrow = [f.name for f in schema if not str(f.type).startswith(_WIDE)]
    return {
        "compression": "zstd",
        "compression_level": _COMPRESSION_LEVEL,
        "use_dictionary": narrow or False,
        "write_page_checksum": True,
        "use_compliant_nested_type": False,  # keep the names of list items as they were
    }
