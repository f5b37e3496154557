"""Single samples: what profile formats are made of.

Where :mod:`workbench.frames.stacks` sums samples, this keeps each with its time, and yields them in
parts: a sample only names its stack.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from workbench.frames.allocations import EVENTS
from workbench.frames.by_time import Scan, Window
from workbench.frames.labels import KINDS, NO_STACK, UNKNOWN, named_frames, position
from workbench.frames.stacks import (
    COUNT,
    amounts_of,
    default_weight,
    stacks_of,
    unit_of,
    without_probe,
)
from workbench.frames.threads import named_threads
from workbench.table import batches

if TYPE_CHECKING:
    import polars as pl

    from workbench.recording import Recording

_SPECIAL = (UNKNOWN, NO_STACK)
_ROWS = 1 << 16
"""Samples of a part at most."""


@dataclass(frozen=True)
class Samples:
    """The samples of one table.

    Parameters
    ----------
    scan : callable
        Yields them in parts, see :data:`workbench.frames.by_time.Scan`, in the order of writing:

        pid, tid : i64
        ts : i64
            ns UTC.
        stack : i64
            Index of its stack.
        amount : i64
            What it stands for, in ``unit``; none is 0.
    frames : polars.DataFrame
        The frames that occur: name, module, kind, file : str; line : u32, ``file`` and ``line``
        null where no source is known.
    flat : numpy.ndarray
        int64, rows of ``frames`` of all stacks one after the other, leaf first.
    offsets : numpy.ndarray
        int64: stack ``i`` is ``flat[offsets[i]:offsets[i + 1]]``.
    unit : str
        See :func:`workbench.frames.stacks.unit_of`: "samples", "events", "ns", "bytes", ...
    """

    scan: Scan
    frames: pl.DataFrame
    flat: NDArray[np.int64]
    offsets: NDArray[np.int64]
    unit: str


def samples(rec: Recording, kind: str, weight: str = "") -> Samples:
    """Return the samples of a table.

    Parameters
    ----------
    rec : Recording
        Needs the tables ``kind`` (ts, stack_id, weight), ``stacks`` and ``frames``; its selection
        is honoured.
    kind : str
        Table of the samples. Without ``pid`` they all belong to process 0, without ``tid`` to the
        threads of :func:`workbench.frames.threads.named_threads`.
    weight : str
        What they are weighed by, as in :func:`workbench.frames.flame.flame_tree`.

    Raises
    ------
    MissingTableError
        A table or column is missing.
    """
    import polars as pl

    weight = weight or default_weight(rec, kind)
    ids = pl.DataFrame(schema={"stack_id": pl.UInt32})
    for part in _scanned(rec, kind, weight, None):
        ids = pl.concat([ids, part.select("stack_id")]).unique()
    wanted = ids.to_series().sort()
    frames, flat, offsets, number = named_stacks(rec, wanted)
    named, flat = used_frames(frames, flat)
    numbers = pl.DataFrame({"stack_id": wanted, "stack": number})

    def scan(window: Window | None) -> Iterator[pl.DataFrame]:
        for part in _scanned(rec, kind, weight, window):
            yield part.join(
                numbers, on="stack_id", how="left", maintain_order="left", nulls_equal=True
            ).drop("stack_id")

    return Samples(scan, named, flat, offsets, unit_of(rec, kind, weight))


def _scanned(
    rec: Recording, kind: str, weight: str, window: Window | None
) -> Iterator[pl.DataFrame]:
    """Yield the samples of a window, or all, with the id of their stack."""
    import polars as pl

    names = rec[kind].schema.names if kind in rec.tables else []
    named = None if kind not in rec.tables else named_threads(rec, kind)
    who = [name for name in ("pid", "tid") if name in names]
    who += ["comm"] if named is not None else []
    # An allocation and its end are events of different times: those are cut afterwards.
    paired = kind == EVENTS and weight != COUNT
    part = rec if window is None or paired else rec.window(*window)
    rows, amount = amounts_of(part, kind, weight, "ts", "stack_id", *who)
    known = [*who, *(["tid"] if named is not None else [])]
    numbers = [pl.col(name).cast(pl.Int64).fill_null(0) if name in known
               else pl.lit(0, pl.Int64).alias(name) for name in ("pid", "tid")]  # fmt: skip
    columns = [
        *numbers,
        pl.col("ts").cast(pl.Int64),
        "stack_id",
        amount.alias("amount"),
    ]  # fmt: skip
    if paired:
        parts = batches(rows, _ROWS)
    else:
        wanted = rows.collect_schema().names()
        parts = (
            piece
            for batch in part[kind].batches(wanted)
            for piece in pl.DataFrame(batch).iter_slices(_ROWS)
        )
    start, stop = window if window and paired else (None, None)
    for each in parts:
        numbered = each
        if named is not None:
            text = each.with_columns(pl.col("comm").cast(pl.String).fill_null(""))
            numbered = text.join(named, on="comm", how="left", maintain_order="left")
        found = numbered.select(columns).filter(pl.col("amount") > 0)
        if start is not None:
            found = found.filter(pl.col("ts") >= start)
        if stop is not None:
            found = found.filter(pl.col("ts") < stop)
        if len(found):
            yield found


def named_stacks(
    rec: Recording, ids: pl.Series
) -> tuple[pl.DataFrame, NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the stacks with these ids, without the frames of the probe.

    Returns
    -------
    tuple
        ``frames``, ``flat`` and ``offsets`` of :class:`workbench.frames.stacks.StackSums`, then the
        number of the stack of each id, int64.

    Raises
    ------
    MissingTableError
        The session holds no ``stacks`` or ``frames``.
    """
    number, flat, offsets = stacks_of(rec, ids)
    frames = named_frames(rec)
    return frames, *without_probe(frames, flat, offsets), number


def used_frames(
    frames: pl.DataFrame, flat: NDArray[np.int64]
) -> tuple[pl.DataFrame, NDArray[np.int64]]:
    """Return the frames that occur in stacks, and where each entry of ``flat`` stands among them.

    Parameters
    ----------
    frames, flat
        Of :func:`named_stacks`.

    Returns
    -------
    polars.DataFrame, numpy.ndarray
        ``frames`` and ``flat`` of :class:`Samples`.
    """
    import polars as pl

    special = pl.DataFrame(
        {"name": _SPECIAL, "module": ["", ""], "kind": [KINDS.index("unknown")] * 2},
        schema_overrides={"kind": pl.UInt8},
    )
    known = pl.concat([special, frames.drop("frame_id")], how="diagonal_relaxed")
    at = 2 + position(frames["frame_id"].to_numpy(), flat)
    at[at == 1] = 0  # an id that no frame has
    at[flat == -1] = 1
    used, index = np.unique(at, return_inverse=True)
    texts = pl.col("kind").replace_strict(
        list(range(len(KINDS))), list(KINDS), return_dtype=pl.String
    )
    return known[used].with_columns(texts, pl.col("file").replace("", None)), index


def functions(frames: pl.DataFrame) -> tuple[pl.DataFrame, NDArray[np.int64]]:
    """Return the functions of frames, each once, and the row of each frame's function.

    Parameters
    ----------
    frames : polars.DataFrame
        Of :class:`Samples`.

    Returns
    -------
    polars.DataFrame
        name, module, kind, and the first known ``file``; as hot spots tell functions apart.
    numpy.ndarray
        int64.
    """
    import polars as pl

    keys = ["name", "module", "kind"]
    found = (
        frames.group_by(keys, maintain_order=True)
        .agg(pl.col("file").drop_nulls().first())
        .with_row_index("function")
    )
    rows = frames.select(keys).join(found, on=keys, how="left", maintain_order="left")
    return found.drop("function"), rows["function"].to_numpy().astype(np.int64)
