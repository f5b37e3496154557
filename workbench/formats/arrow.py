"""Arrow IPC file (Feather version 2): a table that can be memory-mapped."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from workbench.formats.format import Format, all_tables

if TYPE_CHECKING:
    from workbench.recording import Recording


def write(rec: Recording, file: IO[bytes], table: str | None) -> None:
    """Write one table, batch by batch.

    The file format allows one dictionary per column, so texts that a column repeats are
    numbered over the whole table first.
    """
    import pyarrow as pa

    chosen = rec[table] if table else rec.events
    rows = chosen.arrow().unify_dictionaries()
    with pa.ipc.new_file(file, rows.schema) as writer:
        writer.write_table(rows)


FORMAT = Format(
    "arrow",
    ".arrow",
    "one table, uncompressed: pyarrow, polars, R, Julia",
    write,
    tables=all_tables,
)
