"""V8's CPU profiles: ``node --cpu-prof``, and what Chrome's DevTools save as ``.cpuprofile``.

A tree of calls, and samples that name its nodes: ``Profiler.Profile`` of the Chrome DevTools
Protocol. A sample lasts until the next one, as DevTools and speedscope draw it.
"""

from __future__ import annotations

import json
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from workbench.errors import ImportFormatError
from workbench.formats.format import Format
from workbench.profiles.content import whole
from workbench.profiles.profile import Profile, Samples, Value
from workbench.profiles.tables import MAX_DEPTH, frames_table, stacks_table

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

_LIMIT = 1 << 28
"""Bytes: as Python's objects they take some ten times as much."""
_ENTRIES = 1 << 26
"""Frames of all distinct stacks together."""
_LAST = (1 << 53) - 1
"""µs: times are JavaScript's numbers."""
_ROOT, _IDLE, _COLLECTOR = "(root)", "(idle)", "(garbage collector)"
_KEYS = (b'"nodes"', b'"callFrame"', b'"functionName"')


def recognise(head: bytes) -> float:
    """Tell by the first node."""
    return 0.9 * (head.lstrip()[:1] == b"{" and all(key in head for key in _KEYS))


def read(file: IO[bytes]) -> Profile:
    """Read a profile: for each sample its time, and how long it lasts.

    ``cpu`` leaves out where V8 says that nothing ran; ``wall`` does not.

    Raises
    ------
    ImportFormatError
        It is no such profile, or damaged.
    """
    try:
        document = json.loads(whole(file, _LIMIT))
    except (ValueError, RecursionError) as error:
        raise ImportFormatError("The file is no JSON.", why=str(error)[:200]) from error
    nodes = document.get("nodes") if isinstance(document, dict) else None
    if not isinstance(nodes, list) or not nodes:
        raise ImportFormatError("The file has no nodes: it is no CPU profile of V8.")
    ids, parents, calls = _tree(nodes)
    names = calls["function"].to_numpy()
    node, times = _samples(document, ids)
    begin, end = int(times[0]) if len(times) else 0, int(times[-1]) if len(times) else 0
    lasts, times = np.diff(times), times[:-1]
    node, parents, calls = _collected(node, parents, calls, names)
    used, stack = np.unique(node, return_inverse=True)
    frames, frame = _frames(calls)
    flat, offsets = _paths(used, parents)
    shown = (calls["function"] != _ROOT).to_numpy()[flat]
    before = np.concatenate([[0], np.cumsum(shown)])
    idle = (calls["function"] == _IDLE).to_numpy()[node]
    import pyarrow as pa

    samples = Samples(
        stack.astype(np.uint32),
        (
            Value("samples", "count", np.ones(len(node), np.int64)),
            Value("wall", "microseconds", lasts),
            Value("cpu", "microseconds", np.where(idle, 0, lasts)),
        ),
        {"ts": pa.array(times * 1000)},
        default="cpu",
        table="cpu",
    )
    made = stacks_table(frame[flat[shown]].astype(np.uint32), before[offsets])
    return Profile(
        frames, made, (samples,), start_ns=begin * 1000 or None, duration_ns=(end - begin) * 1000
    )


def _tree(nodes: list[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64], pl.DataFrame]:
    """Return the ids of all nodes, the rows of their callers (-1 for none), and their functions."""
    import polars as pl

    try:
        ids = np.array([int(node["id"]) for node in nodes], np.int64)
        calls = [node["callFrame"] for node in nodes]
        rows = {
            "function": [str(call["functionName"]) or "(anonymous)" for call in calls],
            "url": [str(call.get("url") or "") for call in calls],
            "line": [int(call.get("lineNumber", -1)) + 1 for call in calls],  # from 0
        }
        children = [
            (row, int(child))
            for row, node in enumerate(nodes)
            for child in node.get("children") or ()
        ]
        told = [(row, int(node["parent"])) for row, node in enumerate(nodes) if "parent" in node]
        pairs = np.array(children, np.int64).reshape(-1, 2)
        above = np.array(told, np.int64).reshape(-1, 2)
        columns = pl.DataFrame(rows, schema={"function": str, "url": str, "line": pl.Int64})
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise ImportFormatError("A node is not whole.", why=repr(error)[:200]) from error
    if len(np.unique(ids)) != len(ids):
        raise ImportFormatError("Two nodes have the same id.")
    parents = np.full(len(ids), -1)
    parents[_rows(ids, pairs[:, 1])] = pairs[:, 0]
    parents[above[:, 0]] = _rows(ids, above[:, 1])
    return ids, parents, columns


def _rows(ids: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rows of nodes."""
    order = np.argsort(ids)
    at = order[np.minimum(np.searchsorted(ids, wanted, sorter=order), len(ids) - 1)]
    if (ids[at] != wanted).any():
        raise ImportFormatError("A node is named that is not there.")
    return at


def _samples(
    document: dict[str, Any], ids: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the node of each sample, and its begin in µs, with the end of the last one."""
    samples, deltas = document.get("samples"), document.get("timeDeltas")
    try:
        node = np.array([int(one) for one in samples or ()], np.int64)
        steps = np.array([int(one) for one in deltas or ()], np.float64)
        start, end = (int(document.get(name) or 0) for name in ("startTime", "endTime"))
    except (TypeError, ValueError, OverflowError) as error:
        raise ImportFormatError("A sample is no number.", why=str(error)[:200]) from error
    if len(node) != len(steps):
        raise ImportFormatError(f"There are {len(steps)} times for {len(node)} samples.")
    # Now and then V8 writes a sample late, with a negative step: it lasts no time.
    times = np.maximum.accumulate(np.append(start + np.cumsum(steps), max(end, 0)))
    if not ((times >= 0) & (times <= _LAST)).all():
        raise ImportFormatError("The times of the samples are no times.")
    return _rows(ids, node), times.astype(np.int64)


def _collected(
    node: NDArray[np.int64],
    parents: NDArray[np.int64],
    calls: pl.DataFrame,
    names: NDArray[Any],
) -> tuple[NDArray[np.int64], NDArray[np.int64], pl.DataFrame]:
    """Put the garbage collector on top of what it interrupted, as DevTools and speedscope do."""
    import polars as pl

    collects = (names == _COLLECTOR)[node]
    before = np.maximum.accumulate(np.where(collects, -1, np.arange(len(node))))
    moved = np.flatnonzero(collects & (before >= 0))
    if not len(moved):
        return node, parents, calls
    below, which = np.unique(node[before[moved]], return_inverse=True)
    added = calls[int(node[moved[0]])]
    node = node.copy()
    node[moved] = len(parents) + which
    calls = pl.concat([calls, added[np.zeros(len(below), np.int64)]])
    return node, np.concatenate([parents, below]), calls


def _frames(calls: pl.DataFrame) -> tuple[Any, NDArray[np.int64]]:
    """Return the table of frames, and the frame of each node."""
    import polars as pl

    distinct = calls.unique(maintain_order=True).with_row_index("frame")
    frame = calls.join(distinct, on=calls.columns, how="left", maintain_order="left")["frame"]
    url, named = pl.col("url"), pl.col("url") != ""
    told = distinct.select(
        "function",
        file=pl.when(named).then(url.str.strip_prefix("file://")),
        line=pl.when(named & pl.col("line").is_between(1, (1 << 32) - 1)).then("line"),
        kind=pl.when(named).then(pl.lit("jit")).otherwise(pl.lit("unknown")),
    )
    oldest = pl.CompatLevel.oldest()
    columns = {name: told[name].to_arrow(compat_level=oldest) for name in told.columns}
    return frames_table(columns), frame.to_numpy().astype(np.int64)


def _paths(
    leaves: NDArray[np.int64], parents: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the nodes from each leaf to its root, and their offsets.

    Raises
    ------
    ImportFormatError
        Nodes call each other in a circle, or there are too many.
    """
    rows, nodes = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    row, node, entries = np.arange(len(leaves)), leaves, 0
    while len(row):
        rows.append(row)
        nodes.append(node)
        entries += len(row)
        if len(rows) > MAX_DEPTH or entries > _ENTRIES:
            raise ImportFormatError("Its calls are too deep, or go in a circle.")
        node = parents[node]
        row, node = row[node >= 0], node[node >= 0]
    found, flat = np.concatenate(rows), np.concatenate(nodes)
    counts = np.bincount(found, minlength=len(leaves))
    return flat[np.argsort(found, kind="stable")], np.concatenate([[0], np.cumsum(counts)])


FORMAT = Format(
    "cpuprofile", ".cpuprofile", "samples of V8: node --cpu-prof, Chrome", None, read, recognise
)
