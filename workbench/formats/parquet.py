"""Parquet: a table with its types, units and meanings, compressed with zstd."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from workbench.formats.format import Format, all_tables

if TYPE_CHECKING:
    from workbench.recording import Recording


def write(rec: Recording, file: IO[bytes], table: str | None) -> None:
    """Write one table, batch by batch."""
    from workbench.store.convert import write_groups

    chosen = rec[table] if table else rec.events
    write_groups(chosen.schema, chosen.batches(), file)


FORMAT = Format(
    "parquet",
    ".parquet",
    "one table: pandas, polars, DuckDB, Spark",
    write,
    tables=all_tables,
)
