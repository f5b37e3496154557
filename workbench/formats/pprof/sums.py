"""Rows of a table summed by stack and labels, slice by slice, with the frames of the stacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.formats.pprof.places import EXTRA
from workbench.formats.pprof.sample_types import Rows
from workbench.frames.labels import NO_STACK, UNKNOWN, named_frames, position
from workbench.frames.stacks import kept, stacks_of, without_probe
from workbench.schema import FRAMES
from workbench.table import batches, collected

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl
    from numpy.typing import NDArray

    from workbench.formats.pprof.sample_types import Valued
    from workbench.recording import Recording

_SLICE = 1 << 20
"""Rows that are summed at once."""


def summed(
    rec: Recording, known: Valued, *, ordered: bool
) -> tuple[pl.DataFrame, pl.DataFrame, NDArray[np.int32], NDArray[np.int64]]:
    """Return one row for each stack and labels; all frames; and stacks, as rows of frames."""
    import polars as pl

    # Where groups are many, polars' streaming group_by keeps what did not fit its first table to
    # the end, which goes by the rows (2.1): sums of slices are merged here. Slices come from the
    # table where they can: polars reads up to eight ahead.
    columns = ["stack_id", *(each.column for each in known.labels)]
    columns += [each.column for each in known.types]
    found: pl.DataFrame | None = None
    pending: list[pl.DataFrame] = []
    for part in _slices(known, columns):
        pending.append(collected(_sums(part.lazy(), known, ordered), streaming=True))
        if sum(map(len, pending)) > max(_SLICE, 0 if found is None else len(found)):
            found = _merged(found, pending, known, ordered)
            pending = []
    found = _merged(found, pending, known, ordered)
    stack, flat, offsets = _used(*stacks_of(rec, found["stack_id"]))
    names = named_frames(rec)
    flat, offsets = without_probe(names, flat, offsets)
    frames = _frames(rec)
    ids = names["frame_id"].to_numpy()
    at = np.empty(len(flat), np.int32)
    for start in range(0, len(flat), _SLICE):
        some = flat[start : start + _SLICE]
        row = position(ids, some)
        row[row < 0] = len(ids)  # an id that no frame has
        row[some == -1] = len(ids) + 1
        at[start : start + _SLICE] = row
    return found.with_columns(pl.Series("stack", stack)), frames, at, offsets


def _slices(known: Valued, columns: list[str]) -> Iterator[pl.DataFrame]:
    if isinstance(known.rows, Rows):
        yield from known.rows.slices(columns, _SLICE)
    else:
        yield from batches(known.rows.select(columns), _SLICE)
    for rows in known.more:
        yield from batches(rows.select(columns), _SLICE)


def _merged(
    found: pl.DataFrame | None, pending: list[pl.DataFrame], known: Valued, ordered: bool
) -> pl.DataFrame:
    """Return sums of sums."""
    import polars as pl

    parts = [*([] if found is None else [found]), *pending]
    if len(parts) == 1:
        return parts[0]
    empty = [] if parts else [known.query.head(0).collect()]  # no rows at all
    return collected(_sums(pl.concat([*parts, *empty]).lazy(), known, ordered), streaming=True)


def _sums(rows: pl.LazyFrame, known: Valued, ordered: bool) -> pl.LazyFrame:
    """Return one row for each stack and labels."""
    import polars as pl

    values = [each.column for each in known.types]
    labels = [each.column for each in known.labels]
    rows = rows.with_columns(pl.col(label).cast(pl.String) for label in _texts(known))
    # The order of an imported file is kept; elsewhere joins may have changed that of the rows.
    sums = rows.group_by("stack_id", *labels, maintain_order=ordered).agg(
        pl.col(value).sum() for value in values
    )
    if ordered:
        return sums
    sums = sums.filter(pl.any_horizontal(pl.col(value) != 0 for value in values))
    return sums.sort("stack_id", *labels, nulls_last=True)


def _used(
    stack: NDArray[np.int64], flat: NDArray[np.int64], offsets: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Leave out stacks that no row has."""
    keep = np.zeros(len(offsets) - 1, np.bool_)
    keep[stack] = True
    stack = (np.cumsum(keep) - 1)[stack]
    first = 0 if keep.all() else int(np.argmax(keep))
    if not keep[first:].all():
        flat, _ = kept(flat, offsets, np.repeat(keep, np.diff(offsets)))
        return stack, flat, np.concatenate([[0], np.cumsum(np.diff(offsets)[keep])])
    # Mostly there is but one, the first, that no row has: no stack at all.
    return stack, flat[offsets[first] :], offsets[first:] - offsets[first]


def _texts(known: Valued) -> list[str]:
    """Return the columns of labels that are texts."""
    import polars as pl

    schema = known.query.collect_schema()
    texts = (pl.String, pl.Categorical, pl.Enum)
    return [each.column for each in known.labels if isinstance(schema[each.column], texts)]


def _frames(rec: Recording) -> pl.DataFrame:
    """Return the frames by their id, then one for what is unknown, and one for no stack."""
    import polars as pl

    there = [name for name in EXTRA if name in rec["frames"].schema.names]
    held = rec["frames"].lazy().unique("frame_id", keep="last").sort("frame_id").collect()
    held = held.select(*(column.name for column in FRAMES), *there)
    held = held.with_columns(pl.col("kind").cast(pl.String).fill_null("unknown"))
    if not there:
        held = held.with_columns(pl.col("function").fill_null("").replace("", UNKNOWN))
    more = pl.DataFrame(
        {"function": [UNKNOWN, NO_STACK], "module": "", "build_id": "", "kind": "unknown"}
    )
    return pl.concat([held, more], how="diagonal_relaxed").with_columns(
        pl.col("offset").fill_null(0),
        *(pl.col(name).fill_null(name == "named") for name in EXTRA if name in there),
    )
