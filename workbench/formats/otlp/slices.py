"""Tables in slices of bounded size, so that a session may be larger than the memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

    from workbench.recording import Recording

ROWS = 1 << 15
"""Rows of a slice: enough that the cost of a slice is small against that of its rows."""


def slices(rec: Recording, table: str, *columns: str, rows: int = ROWS) -> Iterator[pa.RecordBatch]:
    """Yield the selected rows of a table, in the order of the table.

    Parameters
    ----------
    rec : Recording
        Its selection is honoured.
    table : str
        Its name.
    *columns : str
        Columns to take; those that the table lacks are left out.
    rows : int
        Rows of a slice at most; only the last is smaller.
    """
    chosen = rec[table]
    names = [name for name in columns if name in chosen.schema.names]
    pending: list[Any] = []
    count = 0
    for batch in chosen.batches(names):
        pending.append(batch)
        count += batch.num_rows
        if count >= rows:
            whole = _merged(pending)
            full = count - count % rows
            for start in range(0, full, rows):
                yield whole.slice(start, rows)
            pending, count = ([whole.slice(full)], count - full) if count > full else ([], 0)
    if count:
        yield _merged(pending)


def _merged(batches: list[Any]) -> Any:
    """Return batches as one."""
    import pyarrow as pa

    if len(batches) == 1:
        return batches[0]
    table = pa.Table.from_batches(batches).unify_dictionaries().combine_chunks()
    return table.to_batches()[0]


def integers(batch: pa.RecordBatch, name: str) -> NDArray[Any]:
    """Return a column of numbers, times or durations as integers, null as 0."""
    import pyarrow as pa

    values = batch.column(name)
    if pa.types.is_timestamp(values.type) or pa.types.is_duration(values.type):
        values = values.cast(pa.int64())
    if values.null_count:
        values = values.fill_null(0)
    return np.asarray(values)


def is_text(batch: pa.RecordBatch, name: str, *texts: str) -> NDArray[np.bool_]:
    """Return in which rows a column of texts is one of these."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found = pc.is_in(_texts(batch.column(name)), value_set=pa.array(texts, pa.string()))
    return np.asarray(found)


def _texts(values: Any) -> Any:
    import pyarrow as pa

    return values.cast(pa.string()) if pa.types.is_dictionary(values.type) else values


def chosen(batch: pa.RecordBatch, mask: NDArray[np.bool_]) -> pa.RecordBatch:
    """Return the rows of the mask."""
    import pyarrow as pa

    return batch if mask.all() else batch.filter(pa.array(mask))
