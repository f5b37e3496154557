"""The samples of a profile: which rows of a table count, with which value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.formats.otlp.identity import hashed
from workbench.formats.otlp.slices import chosen, is_text, slices
from workbench.formats.otlp.slices import integers as numbers

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from workbench.formats.otlp.lives import People
    from workbench.formats.otlp.profiles.profile_types import ProfileType
    from workbench.formats.otlp.profiles.symbols import Symbols
    from workbench.recording import Recording

_BLOCK = ("pid", "address", "born")
"""Columns that tell a block of memory."""


def samples_of(
    rec: Recording, symbols: Symbols, people: People, type_: ProfileType, rows: int
) -> Iterator[pl.DataFrame]:
    """Yield the samples of a profile, in the order of the table.

    Parameters
    ----------
    rec : Recording
        Its selection is honoured.
    symbols : Symbols
        Of the session, where the stacks are numbered.
    people : People
        Its threads.
    type_ : ProfileType
        Which rows count, and what their value is.
    rows : int
        Of the table, that are read at a time.

    Yields
    ------
    polars.DataFrame
        ``ts`` (ns), ``pid`` and ``tid`` where they are known, ``comm``, ``stack`` (its number in
        `symbols`), ``thread`` (its index in `people`, -1 for none) and ``value``.
    """
    import polars as pl

    columns = ("ts", "pid", "tid", "comm", "stack_id", "weight", *type_.values)
    more = ("op", "address", "born") if type_.op else ()
    freed = _freed(rec) if type_.live else np.zeros(0, np.uint64)
    for each in slices(rec, type_.table, *columns, *more, rows=rows):
        batch = each
        if type_.op:
            batch = chosen(batch, is_text(batch, "op", type_.op))
        if type_.live:
            batch = chosen(batch, ~np.isin(_blocks(batch), freed))
        if not batch.num_rows:
            continue
        value = np.ones(batch.num_rows, np.int64)
        if type_.values:
            value = np.sum([numbers(batch, n).astype(np.int64) for n in type_.values], axis=0)
        if type_.weighed and "weight" in batch.schema.names:
            value = value * numbers(batch, "weight").astype(np.int64)
        stack = batch.column("stack_id").cast("int64").fill_null(-1)
        ts = numbers(batch, "ts")
        known = [name for name in ("pid", "tid") if name in batch.schema.names]
        none = np.full(len(ts), -1)
        named = "comm" in batch.schema.names
        yield pl.DataFrame(
            {
                "ts": ts,
                **{name: numbers(batch, name) for name in known},
                "comm": pl.Series(batch.column("comm").cast("string")) if named else [""] * len(ts),
                "stack": symbols.stacks(np.asarray(stack)),
                "thread": people.thread(numbers(batch, "tid"), ts) if "tid" in known else none,
                "value": value,
            }
        )


def _freed(rec: Recording) -> Any:
    """Return hashes of the blocks of memory that were freed, 8 bytes for each."""
    parts = [
        _blocks(chosen(batch, is_text(batch, "op", "free")))
        for batch in slices(rec, "memory", "op", *_BLOCK)
    ]
    return np.unique(np.concatenate([np.zeros(0, np.uint64), *parts]))


def _blocks(batch: pa.RecordBatch) -> Any:
    """Return a hash of what tells each block of memory."""
    return hashed(np.uint64(3), *(numbers(batch, name) for name in _BLOCK))
