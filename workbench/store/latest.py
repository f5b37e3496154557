"""Tables in which a later row replaces an earlier one: keep the last row of each key."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.store.columns import KEYS
from workbench.store.decorate import fixed

_BITS = 64
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


def _key(table: str, rows: Any) -> NDArray[np.uint64]:
    """Return one number per row: the columns of the key, the first one weighing most."""
    columns = [rows[name].chunk(0) for name in KEYS[table]]
    widths = [column.type.bit_width for column in columns]
    values = [
        fixed(column, np.dtype(f"u{width // 8}").type)
        for column, width in zip(columns, widths, strict=True)
    ]
    if sum(widths) > _BITS:
        values, widths = _ranks(values)
    key = np.zeros(rows.num_rows, np.uint64)
    for value, width in zip(values, widths, strict=True):
        key = (key << np.uint64(width)) | value.astype(np.uint64)
    return key


def _ranks(values: list[NDArray[Any]]) -> tuple[list[NDArray[Any]], list[int]]:
    """Return columns as ranks, which keep the order and need fewer bits, and those bits."""
    ranked, widths = [], []
    for value in values:
        different, rank = np.unique(value, return_inverse=True)
        ranked.append(rank)
        widths.append(len(different).bit_length())
    if sum(widths) > _BITS:
        return _ranks(_paired(ranked))
    return ranked, widths


def _paired(ranks: list[NDArray[Any]]) -> list[NDArray[Any]]:
    """Return ranks with the first two columns as one: each is below 2^32, as rows are."""
    first = (ranks[0].astype(np.uint64) << np.uint64(32)) | ranks[1].astype(np.uint64)
    return [first, *ranks[2:]]
