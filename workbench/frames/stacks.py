"""Samples that share a stack, and what their frames are called.

The common ground of :mod:`workbench.frames.flame` and :mod:`workbench.frames.folded`: events
are summed per group and stack first (a profile has far fewer stacks than samples), and frames
that people would call the same (function, module and kind) become one *label*.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from workbench.errors import ParameterError
from workbench.frames.needs import need
from workbench.schema import FRAME_KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from workbench.recording import Recording

KINDS = (*FRAME_KINDS, "group")
"""Kinds of nodes: those of frames, then "group" (the root, a thread name, a pid, a CPU)."""

GROUPS = ("comm", "pid", "tid", "cpu")
"""Columns that samples can be grouped by, above the stack."""

NO_STACK = "[no stack]"
UNKNOWN = "[unknown]"
NO_NAME = "[no name]"
_UNKNOWN_KIND = FRAME_KINDS.index("unknown")
_GROUP_KIND = KINDS.index("group")
_DENSE = 1 << 26
"""Ids below this are looked up in an array (at most 256 MiB), larger ones by search."""


@dataclass(frozen=True)
class Labels:
    """Names that nodes can have: sorted by name, module and kind, each once.

    Parameters
    ----------
    names, modules : list of str
        One entry per label.
    kinds : numpy.ndarray
        uint8, index into :data:`KINDS`.
    """

    names: list[str]
    modules: list[str]
    kinds: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class StackTable:
    """Unique paths (groups, then frames from root to leaf) with their weights.

    Parameters
    ----------
    labels : Labels
        What ``path`` points to.
    path : numpy.ndarray
        int64, label of each step; the paths of all rows one after the other.
    offsets : numpy.ndarray
        int64, length rows + 1: row ``i`` is ``path[offsets[i]:offsets[i + 1]]``.
    weight : numpy.ndarray
        int64, sum of the weights of the events with that path.
    """

    labels: Labels
    path: NDArray[np.int64]
    offsets: NDArray[np.int64]
    weight: NDArray[np.int64]


def stack_table(rec: Recording, kind: str, by: Sequence[str]) -> StackTable:
    """Sum the events of a kind per group and stack and name the frames.

    Parameters
    ----------
    rec : Recording
        Needs the tables ``kind`` (stack_id, weight and the columns in ``by``), ``stacks`` and
        ``frames``.
    kind : str
        Table of the events.
    by : sequence of str
        Any of :data:`GROUPS`, outermost first; may be empty.

    Returns
    -------
    StackTable
        Events whose stack is not in ``stacks`` have the one frame ``[no stack]``; frames that
        are not in ``frames`` are called ``[unknown]``.

    Raises
    ------
    MissingTableError
        A table or column is missing.
    ParameterError
        ``by`` names a column that cannot group.
    """
    import polars as pl

    wrong = [column for column in by if column not in GROUPS]
    if wrong:
        raise ParameterError(
            f"Samples cannot be grouped by {', '.join(map(repr, wrong))}.",
            advice=f"Use any of: {', '.join(GROUPS)}.",
        )
    keys = [pl.col(column) for column in by]
    events = (
        need(rec, kind, "stack_id", "weight", *by)
        .group_by(*keys, "stack_id")
        .agg(pl.col("weight").cast(pl.Int64).sum())
        .collect()
    )
    stack_of_row, flat, offsets = _stacks(rec, events["stack_id"])
    frames = _frames(rec)
    groups = [_group_texts(events[column]) for column in by]
    labels, frame_label, group_labels = _labels(frames, groups)
    return StackTable(
        labels,
        *_paths(frame_label(flat), offsets, stack_of_row, group_labels),
        events["weight"].to_numpy().astype(np.int64),
    )


def _stacks(
    rec: Recording, wanted: pl.Series
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the stack number of each event row, all frame ids leaf first, and offsets.

    Stack 0 stands for ids without a stack: one frame, -1.
    """
    import polars as pl

    used = wanted.unique().sort()
    found = (
        need(rec, "stacks", "stack_id", "frame_ids")
        .filter(pl.col("stack_id").is_in(used.implode()))
        .unique("stack_id", keep="last")
        .sort("stack_id")
        .collect()
    )
    lengths = found["frame_ids"].list.len().fill_null(0).to_numpy().astype(np.int64)
    offsets = np.concatenate([[0, 1], 1 + np.cumsum(lengths)])
    full = found.filter(pl.col("frame_ids").list.len() > 0)
    inner = full["frame_ids"].explode(empty_as_null=False).fill_null(2**32 - 1)
    flat = np.concatenate([[-1], inner.to_numpy().astype(np.int64)])
    ids = found["stack_id"].to_numpy().astype(np.int64)
    stack_of_row = 1 + _position(ids, wanted.to_numpy().astype(np.int64))
    return stack_of_row, flat, offsets


def _frames(rec: Recording) -> pl.DataFrame:
    """Return frame_id, name, module and kind (number), ordered by frame_id.

    The module of a Python frame is its source file: all of them run in the same interpreter.
    """
    import polars as pl

    source = pl.col("file").fill_null("")
    kind = pl.col("kind").cast(pl.String).fill_null("unknown")
    return (
        need(rec, "frames", "frame_id", "function", "module", "file", "kind")
        .unique("frame_id", keep="last")
        .sort("frame_id")
        .select(
            pl.col("frame_id").cast(pl.Int64),
            pl.col("function").fill_null("").replace("", UNKNOWN).alias("name"),
            pl.when((kind == "python") & (source != ""))
            .then(source)
            .otherwise(pl.col("module").fill_null(""))
            .alias("module"),
            kind.replace_strict(
                list(FRAME_KINDS),
                list(range(len(FRAME_KINDS))),
                default=_UNKNOWN_KIND,
                return_dtype=pl.UInt8,
            ).alias("kind"),
        )
        .collect()
    )


def _group_texts(values: pl.Series) -> pl.Series:
    """Return what a group is called: the comm itself, or "pid 12"."""
    import polars as pl

    if values.name == "comm":
        return values.cast(pl.String).fill_null("").replace("", NO_NAME)
    return values.cast(pl.String).str.replace("^", f"{values.name} ").fill_null(NO_NAME)


def _labels(frames: pl.DataFrame, groups: list[pl.Series]) -> tuple[Labels, Any, list[Any]]:
    """Make the label table; return it, a function from frame ids to labels, group labels."""
    import polars as pl

    special = pl.DataFrame(
        {"name": [UNKNOWN, NO_STACK], "module": ["", ""], "kind": [_UNKNOWN_KIND] * 2},
        schema_overrides={"kind": pl.UInt8},
    )
    parts = [frames.select("name", "module", "kind"), special]
    for texts in groups:
        unique = texts.unique().alias("name").to_frame()
        parts.append(
            unique.with_columns(
                pl.lit("").alias("module"), pl.lit(_GROUP_KIND, pl.UInt8).alias("kind")
            )
        )
    table = pl.concat(parts).unique().sort("name", "module", "kind").with_row_index("label")
    labels = Labels(
        table["name"].to_list(), table["module"].to_list(), table["kind"].to_numpy().copy()
    )

    def find(wanted: pl.DataFrame) -> NDArray[np.int64]:
        joined = wanted.join(
            table, on=["name", "module", "kind"], how="left", maintain_order="left"
        )
        return joined["label"].to_numpy().astype(np.int64)

    ids = frames["frame_id"].to_numpy().astype(np.int64)
    unknown, no_stack = find(special)
    by_position = np.concatenate([[unknown], find(frames.select("name", "module", "kind"))])

    def frame_label(flat: NDArray[np.int64]) -> NDArray[np.int64]:
        result: NDArray[np.int64] = by_position[1 + _position(ids, flat)]
        result[flat == -1] = no_stack
        return result

    group_labels = [
        find(
            texts.alias("name")
            .to_frame()
            .with_columns(pl.lit("").alias("module"), pl.lit(_GROUP_KIND, pl.UInt8).alias("kind"))
        )
        for texts in groups
    ]
    return labels, frame_label, group_labels


def _position(ids: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the position of each wanted id in the sorted ``ids``, -1 where it is absent."""
    if not len(ids):
        return np.full(len(wanted), -1, np.int64)
    if int(ids[-1]) < _DENSE:
        table = np.full(int(ids[-1]) + 2, -1, np.int32)
        table[ids] = np.arange(len(ids), dtype=np.int32)
        inside = (wanted >= 0) & (wanted <= ids[-1])
        return table[np.where(inside, wanted, ids[-1] + 1)].astype(np.int64)
    at = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
    return np.where(ids[at] == wanted, at, -1)


def _paths(
    labels: NDArray[np.int64],
    offsets: NDArray[np.int64],
    stack_of_row: NDArray[np.int64],
    groups: list[NDArray[np.int64]],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the paths of all rows: group labels, then the stack from root to leaf."""
    first = offsets[stack_of_row]
    depth = offsets[stack_of_row + 1] - first
    length = depth + len(groups)
    ends = np.cumsum(length)
    starts = ends - length
    path = np.empty(int(ends[-1]) if len(ends) else 0, np.int64)
    for level, group in enumerate(groups):
        path[starts + level] = group
    # Entry k of a row's frames comes from k places before the stack's last (leaf is first).
    row = np.repeat(np.arange(len(depth)), depth)
    step = np.arange(len(row)) - np.repeat(np.cumsum(depth) - depth, depth)
    path[starts[row] + len(groups) + step] = labels[first[row] + depth[row] - 1 - step]
    return path, np.concatenate([[0], ends]).astype(np.int64)
