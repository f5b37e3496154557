"""Tables in which a later row replaces an earlier one: keep the last row of each key."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.store.columns import KEYS
from workbench.store.decorate import fixed

_PENDING = 1 << 18
"""Rows that may be collected before replaced ones are dropped; bounds the memory."""


def latest(table: str, schema: Any, batches: Iterable[Any]) -> Any:
    """Return the last row of each key, ordered by key.

    Parameters
    ----------
    table : str
        A table of :data:`workbench.store.columns.KEYS`.
    schema : pyarrow.Schema
        Schema of the batches.
    batches : iterable of pyarrow.RecordBatch
        In the order of writing.

    Returns
    -------
    pyarrow.Table
        One chunk per column.
    """
    import pyarrow as pa

    kept = schema.empty_table()
    pending: list[Any] = []
    rows = 0
    for batch in batches:
        pending.append(batch)
        rows += batch.num_rows
        if rows > max(_PENDING, kept.num_rows):
            kept = _last(table, pa.concat_tables([kept, pa.Table.from_batches(pending)]))
            pending, rows = [], 0
    return _last(table, pa.concat_tables([kept, pa.Table.from_batches(pending, schema)]))


def _last(table: str, rows: Any) -> Any:
    rows = rows.unify_dictionaries().combine_chunks()
    if not rows.num_rows:
        return rows
    key = _key(table, rows)
    _, reverse = np.unique(key[::-1], return_index=True)
    return rows.take(len(key) - 1 - reverse)


def _key(table: str, rows: Any) -> NDArray[np.int64]:
    """Return one number per row, in the order of its key: the first column weighs most."""
    key = np.zeros(rows.num_rows, np.int64)
    for name in KEYS[table]:
        _, rank = np.unique(_values(rows[name].chunk(0)), return_inverse=True)
        # Ranks are less than the number of rows, so that two of them fit into one number.
        _, key = np.unique(key * (int(rank.max()) + 1) + rank, return_inverse=True)
    return key


def _values(array: Any) -> NDArray[Any]:
    """Return the numbers of a column; of texts, numbers in their order."""
    import pyarrow as pa

    if pa.types.is_string(array.type):
        array = array.dictionary_encode()
    if not pa.types.is_dictionary(array.type):
        return fixed(array, np.dtype(f"u{array.type.bit_width // 8}").type)
    _, order = np.unique(array.dictionary.to_numpy(zero_copy_only=False), return_inverse=True)
    numbers: NDArray[Any] = order[array.indices.to_numpy(zero_copy_only=False)]
    return numbers
