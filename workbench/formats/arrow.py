"""Arrow IPC file (Feather version 2): a table that can be memory-mapped."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

from workbench.formats.format import Format, all_tables

if TYPE_CHECKING:
    from workbench.recording import Recording
    from workbench.table import Table


def write(rec: Recording, file: IO[bytes], table: str | None) -> None:
    """Write one table, batch by batch.

    The file format allows one dictionary per column, so texts that a column repeats are
    numbered over the whole table first: its columns of texts are read twice.
    """
    import pyarrow as pa

    chosen = rec[table] if table else rec.events
    texts = _texts(chosen)
    with pa.ipc.new_file(file, chosen.schema) as writer:
        for batch in chosen.batches():
            columns = dict(zip(batch.schema.names, batch.columns, strict=True))
            for name, known in texts.items():
                columns[name] = _unified(known, columns[name]).chunk(1)
            writer.write_batch(pa.record_batch(list(columns.values()), chosen.schema))


def _texts(table: Table) -> dict[str, Any]:
    """Return the columns with dictionaries: of each an empty array with all of its texts."""
    import pyarrow as pa

    fields = [field for field in table.schema if pa.types.is_dictionary(field.type)]
    found = {field.name: pa.array([], field.type) for field in fields}
    if found:
        for batch in table.batches(list(found)):
            for name, known in found.items():
                found[name] = _unified(known, batch.column(name)).chunk(0)
    return found


def _unified(known: Any, more: Any) -> Any:
    """Return both arrays with one dictionary, which begins with that of the first."""
    import pyarrow as pa

    return pa.chunked_array([known, more]).unify_dictionaries()


FORMAT = Format(
    "arrow",
    ".arrow",
    "one table, uncompressed: pyarrow, polars, R, Julia",
    write,
    tables=all_tables,
)
