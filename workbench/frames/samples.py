"""Single samples of each thread, with their stacks as a tree: what profile formats are made of.

Where :mod:`workbench.frames.stacks` sums samples, this keeps each with its time: 40 bytes a
sample, whatever its depth, because samples only name their stack.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from workbench.frames.labels import KINDS, NO_STACK, UNKNOWN, named_frames, position
from workbench.frames.stacks import (
    amounts_of,
    default_weight,
    stacks_of,
    unit_of,
    without_probe,
)

if TYPE_CHECKING:
    import polars as pl

    from workbench.recording import Recording

_SPECIAL = (UNKNOWN, NO_STACK)


@dataclass(frozen=True)
class Samples:
    """The samples of one table.

    Parameters
    ----------
    rows : polars.DataFrame
        pid, tid : i64
        ts : i64
            ns UTC.
        stack : i64
            Index of its stack.
        amount : i64
            What it stands for, in ``unit``. Sorted by pid, tid and ts; none is 0.
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

    rows: pl.DataFrame
    frames: pl.DataFrame
    flat: NDArray[np.int64]
    offsets: NDArray[np.int64]
    unit: str


@dataclass(frozen=True)
class StackTree:
    """Stacks that share what they begin with.

    Parameters
    ----------
    prefix : numpy.ndarray
        int64, index of the node that calls this one, -1 at the root; always a lower one.
    item : numpy.ndarray
        int64, what stands at the node.
    leaf : numpy.ndarray
        int64, last node of each stack, -1 for an empty one.
    """

    prefix: NDArray[np.int64]
    item: NDArray[np.int64]
    leaf: NDArray[np.int64]


def samples(rec: Recording, kind: str, weight: str = "") -> Samples:
    """Return the samples of a table.

    Parameters
    ----------
    rec : Recording
        Needs the tables ``kind`` (ts, stack_id, weight), ``stacks`` and ``frames``; its selection
        is honoured.
    kind : str
        Table of the samples. Without ``pid`` or ``tid`` they all belong to process or thread 0.
    weight : str
        What they are weighed by, as in :func:`workbench.frames.flame.flame_tree`.

    Raises
    ------
    MissingTableError
        A table or column is missing.
    """
    import polars as pl

    weight = weight or default_weight(rec, kind)
    who = [name for name in ("pid", "tid") if kind in rec.tables and name in rec[kind].schema.names]
    rows, amount = amounts_of(rec, kind, weight, "ts", "stack_id", *who)
    chosen = (
        rows.select(
            *(pl.col(name).cast(pl.Int64) if name in who else pl.lit(0, pl.Int64).alias(name)
              for name in ("pid", "tid")),
            pl.col("ts").cast(pl.Int64),
            "stack_id",
            amount.alias("amount"),
        )
        .filter(pl.col("amount") > 0)
        .sort("pid", "tid", "ts", maintain_order=True)
        .collect()
    )  # fmt: skip
    frames, flat, offsets, stack_of_row = named_stacks(rec, chosen["stack_id"])
    named, flat = used_frames(frames, flat)
    rows_of = chosen.with_columns(pl.Series("stack", stack_of_row)).drop("stack_id")
    return Samples(rows_of, named, flat, offsets, unit_of(rec, kind, weight))


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


def stack_tree(items: NDArray[np.int64], offsets: NDArray[np.int64]) -> StackTree:
    """Return the tree of stacks.

    Parameters
    ----------
    items : numpy.ndarray
        int64, not negative, of all stacks one after the other, leaf first.
    offsets : numpy.ndarray
        int64: stack ``i`` is ``items[offsets[i]:offsets[i + 1]]``.
    """
    size = int(items.max(initial=0)) + 1
    leaf = np.full(len(offsets) - 1, -1, np.int64)
    prefixes, nodes, count = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], 0
    left = np.flatnonzero(np.diff(offsets) > 0)
    depth = 0
    while len(left):
        keys = (leaf[left] + 1) * size + items[offsets[left + 1] - 1 - depth]
        unique, inverse = np.unique(keys, return_inverse=True)
        above, item = np.divmod(unique, size)
        prefixes.append(above - 1)
        nodes.append(item)
        leaf[left] = count + inverse
        count += len(unique)
        depth += 1
        left = left[offsets[left] + depth < offsets[left + 1]]
    return StackTree(np.concatenate(prefixes), np.concatenate(nodes), leaf)
