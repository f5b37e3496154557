"""Samples that share a stack, and what their frames are called.

The common ground of :mod:`workbench.frames.flame` and :mod:`workbench.frames.folded`: events
are summed per group and stack first (a profile has far fewer stacks than samples), and frames
that people would call the same (function, module and kind) become one *label*.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from workbench.errors import ParameterError
from workbench.frames.allocations import EVENTS, WEIGHTS, weighed
from workbench.frames.labels import (
    GROUPS,
    KINDS,
    Labels,
    group_texts,
    make_labels,
    named_frames,
    position,
)
from workbench.frames.needs import has, need

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from workbench.recording import Recording


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


@dataclass(frozen=True)
class StackSums:
    """Stacks and what was summed for them.

    Parameters
    ----------
    frames : polars.DataFrame
        See :func:`workbench.frames.labels.named_frames`.
    flat : numpy.ndarray
        int64, frame ids of all stacks one after the other, leaf first; -1 stands for no stack.
    offsets : numpy.ndarray
        int64: stack ``i`` is ``flat[offsets[i]:offsets[i + 1]]``.
    stack : numpy.ndarray
        int64, number of the stack of each row.
    amount : numpy.ndarray
        int64, sum of each row.
    """

    frames: pl.DataFrame
    flat: NDArray[np.int64]
    offsets: NDArray[np.int64]
    stack: NDArray[np.int64]
    amount: NDArray[np.int64]


Start = str | tuple[str, str]
"""A function, or a function and its module."""

COUNT = "weight"
"""The weight that counts events."""

TIME = "ns"
"""Unit of weights that are times."""
BYTES = "bytes"
"""Unit of weights that are sizes."""
UNITS = {"cpu": "samples"}
"""What is counted, where it is not events."""

SUMS = {"off": ("blocked", "runnable")}
"""Weights that are sums of columns."""

DEFAULTS = {"offcpu": "off", "memory": "size", "locks": "waited"}
"""What is summed for a kind where nothing is said and it is not events."""

PROBE = ("bpf_prog_", "bpf_trace_run", "bpf_trampoline_", "__bpf_trace_", "__traceiter_")
"""Kernel functions that stand above the traced one in stacks which a tracepoint's program took."""


def profiled(rec: Recording) -> str:
    """Return the table that is meant where a profile is: ``cpu``, else the first with stacks."""
    held = [kind for kind in rec.manifest.kinds if has(rec, kind)]
    fitting = [kind for kind in held if "stack_id" in rec[kind].schema.names]
    return "cpu" if "cpu" in fitting or not fitting else fitting[0]


def default_weight(rec: Recording, kind: str) -> str:
    """Return what is summed for a table where nothing is said.

    It is what an imported profile says, else one of :data:`DEFAULTS`, else :data:`COUNT`.
    """
    told = rec.manifest.kinds.get(kind, {}).get("weight")
    if isinstance(told, str) and has(rec, kind) and told in rec[kind].schema.names:
        return told
    return DEFAULTS.get(kind, COUNT)


def unit_of(rec: Recording, kind: str, weight: str) -> str:
    """Return the unit of a weight: "ns", "bytes", "samples", "events", or what its column says."""
    if kind == EVENTS and weight in WEIGHTS:
        return BYTES
    if weight == COUNT:
        return UNITS.get(kind, "events")
    told = _told(rec, kind, weight, "unit") or TIME
    return UNITS.get(kind, "events") if told == "1" else told


def _told(rec: Recording, kind: str, column: str, what: str) -> str:
    """Return what a column's metadata says, "" where it says nothing."""
    schema = rec[kind].schema
    if column not in schema.names:
        return ""
    return str(((schema.field(column).metadata or {}).get(what.encode()) or b"").decode())


def stack_table(
    rec: Recording,
    kind: str,
    by: Sequence[str],
    weight: str = COUNT,
    stack: str = "stack_id",
    start: Start = "",
) -> StackTable:
    """Sum the events of a kind per group and stack and name the frames.

    Parameters
    ----------
    rec : Recording
        Needs the tables ``kind`` (stack_id, weight and the columns in ``by``), ``stacks`` and
        ``frames``.
    kind : str
        Table of the events.
    by : sequence of str
        Any of :data:`~workbench.frames.labels.GROUPS`, outermost first; may be empty.
    weight : str
        What is summed: :data:`COUNT`, a column of durations (in ns, times the event's own
        weight, unless the column holds the sum of its row, as those of imported profiles do), or
        one of :data:`SUMS` of these; of ``memory`` one of
        :data:`workbench.frames.allocations.WEIGHTS`. Events without any are left out.
    stack : str
        Column with the stack.
    start : str or (str, str)
        A function, or one of a module (of Python functions: a source file). Stacks that contain
        it begin with it, at the place that is nearest to the root; others stay whole.

    Returns
    -------
    StackTable
        Events whose stack is not in ``stacks`` have the one frame ``[no stack]``; frames that
        are not in ``frames`` are called ``[unknown]``. The workbench's own program and what
        called it, at the leaf of stacks from tracepoints, are left out.

    Raises
    ------
    MissingTableError
        A table or column is missing.
    ParameterError
        ``by`` names a column that cannot group.
    """
    events, sums = stack_sums(rec, kind, by, weight, stack)
    flat, offsets = sums.flat, sums.offsets
    if start:
        flat, offsets = _begun(sums.frames, flat, offsets, start)
    groups = [group_texts(events[column]) for column in by]
    labels, frame_label, group_labels = make_labels(sums.frames, groups)
    return StackTable(
        labels,
        *_paths(frame_label(flat), offsets, sums.stack, group_labels),
        sums.amount,
    )


def stack_sums(
    rec: Recording, kind: str, by: Sequence[str], weight: str = COUNT, stack: str = "stack_id"
) -> tuple[pl.DataFrame, StackSums]:
    """Sum the events of a kind per group and stack; parameters and errors of :func:`stack_table`.

    Returns
    -------
    polars.DataFrame
        The groups of each row (columns ``by``).
    StackSums
    """
    import polars as pl

    wrong = [column for column in by if column not in GROUPS]
    if wrong:
        raise ParameterError(
            f"Samples cannot be grouped by {', '.join(map(repr, wrong))}.",
            advice=f"Use any of: {', '.join(GROUPS)}.",
        )
    keys = [pl.col(column) for column in by]
    rows, amount = amounts_of(rec, kind, weight, stack, *by)
    events = (
        rows.group_by(*keys, pl.col(stack).alias("stack_id"))
        .agg(amount.sum().alias("amount"))
        .filter(pl.col("amount") > 0)
        .collect(engine="streaming")  # memory goes by the stacks, not by the events
    )
    stack_of_row, flat, offsets = stacks_of(rec, events["stack_id"])
    frames = named_frames(rec)
    flat, offsets = without_probe(frames, flat, offsets)
    amounts = events["amount"].to_numpy().astype(np.int64)
    return events, StackSums(frames, flat, offsets, stack_of_row, amounts)


def amounts_of(
    rec: Recording, kind: str, weight: str, *columns: str
) -> tuple[pl.LazyFrame, pl.Expr]:
    """Return the rows that have a weight, with these columns, and how much each row has of it.

    Raises
    ------
    MissingTableError, ParameterError
    """
    parts = [] if weight == COUNT else list(SUMS.get(weight, (weight,)))
    if kind == EVENTS and weight != COUNT:
        rows, parts = weighed(rec, weight, COUNT, *columns), ["size"]
    else:
        rows = need(rec, kind, *dict.fromkeys((*columns, COUNT, *parts)))
    return rows, _amount([(part, _told(rec, kind, part, "of") == "row") for part in parts])


def _amount(parts: list[tuple[str, bool]]) -> pl.Expr:
    """Return the amount of a row, from columns and whether they hold the sum of the row."""
    import polars as pl

    count = pl.col(COUNT).cast(pl.Int64)
    if not parts:
        return count
    values = [(pl.col(part).cast(pl.Int64), sums) for part, sums in parts]
    return pl.sum_horizontal(value if sums else value * count for value, sums in values)


def without_probe(
    frames: pl.DataFrame, flat: NDArray[np.int64], offsets: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Take the frames of the probe off the leaves of stacks.

    Parameters
    ----------
    frames : polars.DataFrame
        See :func:`workbench.frames.labels.named_frames`.
    flat, offsets : numpy.ndarray
        int64, see :class:`StackSums`.
    """
    import polars as pl

    pattern = f"^(?:{'|'.join(PROBE)})"
    kernel = pl.col("kind") == KINDS.index("kernel")
    named = frames.select(pl.col("name").str.contains(pattern) & kernel)
    probe = np.append(named.to_series().to_numpy(), False)  # -1, an unknown frame, is none
    if not probe.any():
        return flat, offsets
    ours = probe[position(frames["frame_id"].to_numpy(), flat)]
    if not ours.any():
        return flat, offsets
    # A frame goes as long as all before it, in its own stack, go.
    others = np.concatenate([[0], np.cumsum(~ours)])
    goes = ours & (others[:-1] == np.repeat(others[offsets[:-1]], np.diff(offsets)))
    return kept(flat, offsets, ~goes)


def _begun(
    frames: pl.DataFrame, flat: NDArray[np.int64], offsets: NDArray[np.int64], start: Start
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Take the callers of a function off the roots of stacks."""
    import polars as pl

    name, *module = (start,) if isinstance(start, str) else start
    wanted = pl.col("name") == name
    if module:
        wanted &= pl.col("module") == module[0]
    named = np.append(frames.select(wanted).to_series().to_numpy(), False)
    found = named[position(frames["frame_id"].to_numpy(), flat)]
    # A frame stays if, in its own stack, the function is still to come or is nowhere.
    before = np.concatenate([[0], np.cumsum(found)])
    first, last = (
        np.repeat(before[ends], np.diff(offsets)) for ends in (offsets[:-1], offsets[1:])
    )
    return kept(flat, offsets, (before[:-1] < last) | (first == last))


def kept(
    flat: NDArray[np.int64], offsets: NDArray[np.int64], keep: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the frames that are kept, and the offsets of their stacks."""
    before = np.concatenate([[0], np.cumsum(keep)])
    return flat[keep], before[offsets]


def stacks_of(
    rec: Recording, wanted: pl.Series
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the stack number of each event row, all frame ids leaf first, and offsets.

    Stack 0 stands for ids without a stack: one frame, -1.

    Parameters
    ----------
    rec : Recording
        Needs ``stacks``.
    wanted : polars.Series
        Stack id of each row.
    """
    import polars as pl

    used = wanted.unique().sort()
    found = (
        need(rec, "stacks", "stack_id", "frame_ids")
        .filter(pl.col("stack_id").is_in(used.drop_nulls().implode()))
        .collect()
    )
    ids = found["stack_id"].to_numpy()
    if not (ids[1:] > ids[:-1]).all():  # else they need not be moved, and they are large
        found = found.unique("stack_id", keep="last").sort("stack_id")
    lengths = found["frame_ids"].list.len().fill_null(0).to_numpy().astype(np.int64)
    offsets = np.concatenate([[0, 1], 1 + np.cumsum(lengths)])
    full = found.filter(pl.col("frame_ids").list.len() > 0)
    inner = full["frame_ids"].explode(empty_as_null=False).fill_null(2**32 - 1)
    flat = np.full(1 + len(inner), -1)
    flat[1:] = inner.to_numpy()
    ids = found["stack_id"].to_numpy().astype(np.int64)
    stack_of_row = 1 + position(ids, wanted.cast(pl.Int64).fill_null(-1).to_numpy())
    return stack_of_row, flat, offsets


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
