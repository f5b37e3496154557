"""The call tree of a profile as flat arrays, ready to be drawn.

The tree is built level by level from unique stacks, never from single samples: each level is
one sort over the stacks that are still that deep, so a million nodes take a few seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from workbench.frames.labels import KINDS, Labels
from workbench.frames.stacks import (
    BYTES,
    COUNT,
    TIME,
    StackTable,
    Start,
    default_weight,
    stack_table,
    unit_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from workbench.recording import Recording

__all__ = ["BYTES", "KINDS", "TIME", "FlameTree", "build_tree", "flame_tree"]

ROOT = "all"


@dataclass(frozen=True)
class FlameTree:
    """A call tree with one entry per node in every array.

    Nodes are in breadth-first order, within a level from left to right: the children of one
    node are adjacent, heaviest first (ties by name), and follow the order of their parents.
    Node 0 is the root, "all". For every node ``width == self + sum(children's width)``.

    Parameters
    ----------
    names : list of str
        Unique names of nodes, sorted.
    modules : list of str
        Unique modules, sorted; "" where there is none.
    parent : numpy.ndarray
        int32, index of the parent, -1 for the root.
    depth : numpy.ndarray
        uint16, 0 for the root.
    left : numpy.ndarray
        float64, left edge, in units of weight: a child starts where the sibling before it
        ends, the first at its parent's left edge; the parent's self weight is at the right.
    width : numpy.ndarray
        float64, weight of the node with everything below.
    self : numpy.ndarray
        float64, weight of the node without its children.
    name : numpy.ndarray
        uint32, index into ``names``.
    kind : numpy.ndarray
        uint8, index into :data:`KINDS`.
    module : numpy.ndarray
        uint32, index into ``modules``.
    level_offsets : numpy.ndarray
        uint32, length depth + 2: level ``d`` is ``level_offsets[d]:level_offsets[d + 1]``.
    unit : str
        What weights count, such as "samples"; :data:`TIME` where they are nanoseconds.
    period_ns : int or None
        Time that one unit of weight stands for, None where that is not known.
    """

    names: list[str]
    modules: list[str]
    parent: NDArray[np.int32]
    depth: NDArray[np.uint16]
    left: NDArray[np.float64]
    width: NDArray[np.float64]
    self: NDArray[np.float64]
    name: NDArray[np.uint32]
    kind: NDArray[np.uint8]
    module: NDArray[np.uint32]
    level_offsets: NDArray[np.uint32]
    unit: str = "samples"
    period_ns: int | None = None

    @property
    def total(self) -> int:
        """Weight of all samples."""
        return round(float(self.width[0]))

    def __len__(self) -> int:
        return len(self.parent)

    def label(self, node: int) -> str:
        """Return the name of a node."""
        return self.names[int(self.name[node])]

    def path(self, node: int) -> list[str]:
        """Return the names from the root to a node."""
        result = []
        while node >= 0:
            result.append(self.label(node))
            node = int(self.parent[node])
        return result[::-1]


def flame_tree(
    rec: Recording,
    kind: str = "cpu",
    by: Sequence[str] = ("comm",),
    weight: str = "",
    stack: str = "stack_id",
    start: Start = "",
) -> FlameTree:
    """Build the call tree of a recording.

    Parameters
    ----------
    rec : Recording
        Needs the tables ``kind`` (stack_id, weight and the columns in ``by``), ``stacks`` and
        ``frames``; its selection (``window``, ``where``) is honoured.
    kind : str
        Kind of events whose stacks are drawn.
    by : sequence of str
        Levels between the root and the stacks: any of "comm", "pid", "tid", "cpu" and, of
        ``offcpu``, "state".
    weight : str
        What widths stand for: "weight" (events), a column of durations such as "blocked" or
        "runnable", or "off", the sum of these two; of ``memory`` one of
        :data:`workbench.frames.allocations.WEIGHTS`: "size" (bytes allocated), "live" (bytes that
        were not freed), "mapped", "faults". By default "off" for ``offcpu``, "size" for
        ``memory``, "waited" for ``locks``, what an imported profile says, else "weight".
    stack : str
        Column with the stack: "waker_stack_id" draws the stacks of those who woke.
    start : str or (str, str)
        A function, or one of a module (of Python functions: a source file): stacks that contain
        it begin with it, so that all its calls are drawn as one.

    Returns
    -------
    FlameTree
        Its total equals the weight of all selected events, its unit is "ns" for durations,
        "bytes" for sizes, else what the column says.

    Raises
    ------
    MissingTableError
        A table or column is missing.
    ParameterError
        ``by`` names a column that cannot group.
    """
    weight = weight or default_weight(rec, kind)
    table = stack_table(rec, kind, by, weight, stack, start)
    unit = unit_of(rec, kind, weight)
    if weight != COUNT:
        return build_tree(table, unit=unit)
    parameters = dict(rec.manifest.kinds.get(kind) or {})
    return build_tree(table, unit=unit, period_ns=_period(parameters))


def _period(parameters: Mapping[str, Any]) -> int | None:
    """Return the nanoseconds between two samples of a thread, from ``period_ns`` or ``hz``."""
    period, hz = parameters.get("period_ns"), parameters.get("hz")
    if isinstance(period, int | float) and period >= 1:
        return round(period)
    if isinstance(hz, int | float) and hz > 0:
        return round(1e9 / hz)
    return None


@dataclass
class _Level:
    """The nodes of one level: index of the parent in the level above, label, weights."""

    parent: NDArray[np.int64]
    label: NDArray[np.int64]
    width: NDArray[np.int64]


def build_tree(
    table: StackTable, *, unit: str = "samples", period_ns: int | None = None
) -> FlameTree:
    """Build the tree of a table of stacks; see :class:`FlameTree`.

    Parameters
    ----------
    table : StackTable
        Unique paths and their weights; a path may be empty and may occur more than once.
    unit, period_ns
        See :class:`FlameTree`.
    """
    levels = [_Level(np.array([-1]), np.array([len(table.labels)]), np.array([table.weight.sum()]))]
    rows = np.flatnonzero(np.diff(table.offsets) > 0)
    node = np.zeros(len(rows), np.int64)
    while len(rows):
        depth = len(levels) - 1
        level, node = _next_level(
            node,
            table.path[table.offsets[rows] + depth],
            table.weight[rows],
            len(table.labels),
        )
        levels.append(level)
        deeper = table.offsets[rows] + depth + 1 < table.offsets[rows + 1]
        rows, node = rows[deeper], node[deeper]
    return _assemble(levels, table.labels, unit, period_ns)


def _next_level(
    parent: NDArray[np.int64],
    label: NDArray[np.int64],
    weight: NDArray[np.int64],
    n_labels: int,
) -> tuple[_Level, NDArray[np.int64]]:
    """Group rows by (parent, label); return the level and the node of each row."""
    keys, inverse = np.unique(parent * n_labels + label, return_inverse=True)
    width = np.zeros(len(keys), np.int64)
    np.add.at(width, inverse, weight)
    up, name = np.divmod(keys, n_labels)
    order = np.lexsort((name, -width, up))
    position = np.empty(len(order), np.int64)
    position[order] = np.arange(len(order))
    return _Level(up[order], name[order], width[order]), position[inverse]


def _assemble(levels: list[_Level], labels: Labels, unit: str, period_ns: int | None) -> FlameTree:
    sizes = np.array([len(level.parent) for level in levels])
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    parent = np.concatenate(
        [levels[0].parent]
        + [level.parent + start for level, start in zip(levels[1:], offsets, strict=False)]
    )
    width = np.concatenate([level.width for level in levels])
    children = np.zeros(len(width), np.int64)
    np.add.at(children, parent[1:], width[1:])
    # Only labels that the tree uses; the root's comes after all others.
    used, label = np.unique(np.concatenate([level.label for level in levels]), return_inverse=True)
    names, name_of = _unique([*(labels.names[index] for index in used[:-1]), ROOT])
    modules, module_of = _unique([*(labels.modules[index] for index in used[:-1]), ""])
    kind_of = np.append(labels.kinds[used[:-1]], KINDS.index("group")).astype(np.uint8)
    return FlameTree(
        names=names,
        modules=modules,
        parent=parent.astype(np.int32),
        depth=np.repeat(np.arange(len(levels)), sizes).astype(np.uint16),
        left=_left_edges(parent, width, offsets),
        width=width.astype(np.float64),
        self=(width - children).astype(np.float64),
        name=name_of[label],
        kind=kind_of[label],
        module=module_of[label],
        level_offsets=offsets.astype(np.uint32),
        unit=unit,
        period_ns=period_ns,
    )


def _left_edges(
    parent: NDArray[np.int64], width: NDArray[np.int64], offsets: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return left edges: the parent's edge plus the widths of the siblings before."""
    left = np.zeros(len(width), np.int64)
    for start, stop in pairwise(offsets[1:]):
        before = np.cumsum(width[start:stop]) - width[start:stop]
        up = parent[start:stop]
        first = np.searchsorted(up, up)  # first sibling: parents are in ascending order
        left[start:stop] = left[up] + before - before[first]
    return left.astype(np.float64)


def _unique(texts: list[str]) -> tuple[list[str], NDArray[np.uint32]]:
    """Return the sorted unique texts and the index of each text among them."""
    unique = sorted(set(texts))
    index = {text: number for number, text in enumerate(unique)}
    return unique, np.array([index[text] for text in texts], np.uint32)
