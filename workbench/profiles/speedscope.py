"""speedscope's two kinds of profiles, as stacks and weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from workbench.errors import ImportFormatError
from workbench.profiles.interning import MAX_ENTRIES
from workbench.profiles.tables import MAX_DEPTH

if TYPE_CHECKING:
    import polars as pl

_OPEN, _CLOSE = "O", "C"


@dataclass(frozen=True)
class Weighed:
    """Samples of one profile.

    Parameters
    ----------
    stacks : polars.Series
        list of i64, distinct stacks: frames, leaf first.
    stack : numpy.ndarray
        int64, the stack of each sample.
    weight : numpy.ndarray
        float64, its weight in the unit of the profile.
    """

    stacks: pl.Series
    stack: NDArray[np.int64]
    weight: NDArray[np.float64]


def sampled(profile: dict[str, Any], frames: int) -> Weighed:
    """Read a profile of samples with weights.

    Raises
    ------
    ImportFormatError
    """
    import polars as pl

    samples, weights = (_list(profile, name) for name in ("samples", "weights"))
    if len(samples) != len(weights):
        raise ImportFormatError(f"There are {len(weights)} weights for {len(samples)} samples.")
    types = set(map(type, samples)) | set(map(type, chain.from_iterable(filter(_is_list, samples))))
    if not types <= {list, int, type(None)}:
        raise ImportFormatError("A sample is no list of frames.")
    try:
        lists = pl.Series(samples, dtype=pl.List(pl.Int64), strict=True)
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError) as error:
        raise ImportFormatError("A sample is no list of frames.", why=str(error)[:200]) from error
    if lists.null_count() or lists.list.eval(pl.element().is_null()).list.any().any():
        raise ImportFormatError("A sample is null.")
    flat = lists.list.explode(keep_nulls=False, empty_as_null=False)
    _check_frames(flat, frames)
    keys = lists.list.eval(pl.element().cast(pl.String)).list.join(",")
    rows = pl.DataFrame({"key": keys, "frames": lists})
    unique = rows.unique("key", keep="first", maintain_order=True).with_row_index("stack")
    found = rows.join(unique.select("key", "stack"), on="key", how="left", maintain_order="left")
    return Weighed(
        unique["frames"].list.reverse(),
        found["stack"].to_numpy().astype(np.int64),
        _floats(weights, "A weight"),
    )


def evented(profile: dict[str, Any], frames: int) -> Weighed:
    """Read a profile of calls and returns: a stack weighs as long as it lasts without a change.

    Raises
    ------
    ImportFormatError
        Frames are closed that are not open or not the last, or the times go back.
    """
    events = _list(profile, "events")
    try:
        kinds = [event["type"] for event in events]
        given = [event["frame"] for event in events]
        if not set(map(type, given)) <= {int}:
            raise ImportFormatError("A frame of an event is no whole number.")
        frame = np.array(given, np.int64)
        at = _floats([event["at"] for event in events], "A time")
        begin, end = _floats([profile["startValue"], profile["endValue"]], "A time")
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ImportFormatError("An event is not whole.", why=repr(error)[:200]) from error
    _check_frames(frame, frames)
    times = np.concatenate([[begin], at, [end]])
    if (np.diff(times) < 0).any():
        raise ImportFormatError("The times of the events go back.")
    nodes, parents, items = _walk(kinds, frame.tolist())
    weight = np.diff(times)
    # Before the first event nothing runs, and nothing is open behind the last.
    node = np.concatenate([[-1], nodes]).astype(np.int64)
    runs = (weight > 0) & (node >= 0)
    used, stack = np.unique(node[runs], return_inverse=True)
    return Weighed(_paths(used, parents, items), stack.astype(np.int64), weight[runs])


def _walk(
    kinds: Sequence[Any], frames: Sequence[int]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return what is open after each event, as a node; parent and frame of each node."""
    known: dict[tuple[int, int], int] = {}
    parents: list[int] = []
    items: list[int] = []
    now, nodes, depth = -1, [], 0
    for kind, frame in zip(kinds, frames, strict=True):
        if kind == _OPEN:
            key = (now, frame)
            now = known.get(key, -1)
            if now < 0:
                now = known[key] = len(parents)
                parents.append(key[0])
                items.append(frame)
            depth += 1
            if depth > MAX_DEPTH:
                raise ImportFormatError(f"A stack is deeper than {MAX_DEPTH:,} frames.")
        elif kind == _CLOSE and now >= 0 and items[now] == frame:
            now = parents[now]
            depth -= 1
        else:
            raise ImportFormatError(
                "An event is neither the begin of a frame nor the end of the last one.",
                why=f"It is {str(kind)[:20]!r} of frame {frame}.",
            )
        nodes.append(now)
    if now >= 0:
        raise ImportFormatError("Some frames do not end.")
    return tuple(np.array(one, np.int64) for one in (nodes, parents, items))  # type: ignore[return-value]


def _paths(
    leaves: NDArray[np.int64], parents: NDArray[np.int64], items: NDArray[np.int64]
) -> pl.Series:
    """Return the frames from each leaf to its root."""
    import polars as pl

    rows, frames = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    row, node, entries = np.arange(len(leaves)), leaves, 0
    while len(row):
        rows.append(row)
        frames.append(items[node])
        entries += len(row)
        if entries > MAX_ENTRIES >> 3:
            raise ImportFormatError("The file has more stack frames than can be imported.")
        node = parents[node]
        row, node = row[node >= 0], node[node >= 0]
    table = pl.DataFrame({"row": np.concatenate(rows), "frame": np.concatenate(frames)})
    found = table.group_by("row", maintain_order=True).agg("frame").sort("row")
    return found["frame"].cast(pl.List(pl.Int64))


def _is_list(value: Any) -> bool:
    return type(value) is list


def _list(profile: dict[str, Any], name: str) -> list[Any]:
    value = profile.get(name)
    if not isinstance(value, list):
        raise ImportFormatError(f"A profile has no list of {name}.")
    return value


def _floats(values: list[Any], what: str) -> NDArray[np.float64]:
    if not all(type(value) in (int, float) for value in values):
        raise ImportFormatError(f"{what} is no number.")
    try:
        found = np.array(values, np.float64)
    except OverflowError as error:
        raise ImportFormatError(f"{what} is too large.") from error
    if not np.isfinite(found).all():
        raise ImportFormatError(f"{what} is no number.")
    return found


def _check_frames(found: Any, frames: int) -> None:
    if len(found) and (int(found.min()) < 0 or int(found.max()) >= frames):
        raise ImportFormatError(f"A stack names a frame that is none of the {frames:,}.")
