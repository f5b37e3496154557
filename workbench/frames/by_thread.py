"""Rows of each thread in the order of time, in parts of bounded size: what profile formats hold.

Such formats want one thread after the other, a session has all of them mixed. It is read once for
each part: threads with few rows share one, those with many have several, one after the other in
time. Memory goes by :data:`ROWS`, not by the rows of the session.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import polars as pl

Window = tuple[int | None, int | None]
"""Times in ns UTC, start <= ts < stop; None leaves that end open."""
Scan = Callable[[Window | None], Iterator["pl.DataFrame"]]
"""Yields rows with ``pid``, ``tid`` and ``ts`` (i64): all, or those of a window."""

ROWS = 1 << 19
"""Rows that are held at once, about."""
_SLOTS = 1 << 14
"""Slices of time by which windows are found."""


@dataclass(frozen=True)
class Thread:
    """The rows of a thread.

    Parameters
    ----------
    pid, tid : int
    scans : tuple of callable
        For each of the scans, returns its rows, sorted by ``ts``, in parts; can be called again.
    """

    pid: int
    tid: int
    scans: tuple[Callable[[], Iterator[pl.DataFrame]], ...]


def by_thread(scans: Sequence[Scan], limit: int = ROWS) -> Iterator[Thread]:
    """Yield the threads that have rows, sorted by pid and tid.

    Parameters
    ----------
    scans : sequence of callable
        See :data:`Scan`. Rows with the same ``ts`` keep their order.
    limit : int
        Rows that are held at once. More are, where so many have the same time.
    """
    counts = [_counts(scan) for scan in scans]
    rows: dict[tuple[int, int], int] = {}
    for each in counts:
        for who, count in each.items():
            rows[who] = rows.get(who, 0) + count
    for group in _groups(rows, limit):
        if len(group) == 1 and rows[group[0]] > limit:
            pid, tid = group[0]
            parts = tuple(
                _windowed(scan, group[0], each.get(group[0], 0), limit)
                for scan, each in zip(scans, counts, strict=True)
            )
            yield Thread(pid, tid, parts)
        else:
            yield from _together(scans, group, all_=len(group) == len(rows))


def _counts(scan: Scan) -> dict[tuple[int, int], int]:
    import polars as pl

    found: dict[tuple[int, int], int] = {}
    for frame in scan(None):
        for pid, tid, count in frame.group_by("pid", "tid").agg(pl.len()).iter_rows():
            found[pid, tid] = found.get((pid, tid), 0) + count
    return found


def _groups(rows: dict[tuple[int, int], int], limit: int) -> Iterator[list[tuple[int, int]]]:
    """Yield threads that have at most so many rows together, or one that has more."""
    group: list[tuple[int, int]] = []
    held = 0
    for who in sorted(rows):
        if group and held + rows[who] > limit:
            yield group
            group, held = [], 0
        group.append(who)
        held += rows[who]
    if group:
        yield group


def _together(
    scans: Sequence[Scan], group: list[tuple[int, int]], *, all_: bool
) -> Iterator[Thread]:
    """Yield the threads of a group: the session is read once for all of them."""
    import polars as pl

    wanted = pl.DataFrame(group, schema={"pid": pl.Int64, "tid": pl.Int64}, orient="row")
    held = []
    for scan in scans:
        parts = []
        for frame in scan(None):
            part = frame if all_ else frame.join(wanted, on=["pid", "tid"], how="semi")
            if len(part):
                parts.append(part)
        rows = pl.concat(parts).sort("pid", "tid", "ts", maintain_order=True) if parts else None
        groups = {} if rows is None else rows.partition_by("pid", "tid", as_dict=True)
        held.append(groups)
    for pid, tid in group:
        own = tuple(
            _held([groups[pid, tid]] if (pid, tid) in groups else []) for groups in held
        )
        yield Thread(pid, tid, own)


def _held(parts: list[pl.DataFrame]) -> Callable[[], Iterator[pl.DataFrame]]:
    return lambda: iter(parts)


def _windowed(
    scan: Scan, who: tuple[int, int], rows: int, limit: int
) -> Callable[[], Iterator[pl.DataFrame]]:
    """Return what yields the rows of a thread window by window."""
    if not rows:
        return _held([])
    windows = _windows(scan, who, limit)

    def parts() -> Iterator[pl.DataFrame]:
        import polars as pl

        for window in windows:
            found = [part for frame in scan(window) if len(part := _of(frame, who))]
            if found:
                yield pl.concat(found).sort("ts", maintain_order=True)

    return parts


def _of(frame: pl.DataFrame, who: tuple[int, int]) -> pl.DataFrame:
    import polars as pl

    return frame.filter((pl.col("pid") == who[0]) & (pl.col("tid") == who[1]))


def _windows(scan: Scan, who: tuple[int, int], limit: int) -> list[Window]:
    """Return windows of time that follow each other and hold at most so many rows of a thread."""
    ends = [
        (int(own["ts"].min()), int(own["ts"].max()))  # type: ignore[arg-type]
        for frame in scan(None)
        if len(own := _of(frame, who))
    ]
    first, last = min(low for low, _ in ends), max(high for _, high in ends)
    width = (last - first) // _SLOTS + 1
    counts = np.zeros(_SLOTS, np.int64)
    for frame in scan(None):
        slots = (_of(frame, who)["ts"].to_numpy() - first) // width
        counts += np.bincount(slots, minlength=_SLOTS)
    starts: list[int | None] = [None]
    held = 0
    for slot, count in enumerate(counts.tolist()):
        if held and held + count > limit:
            starts.append(first + slot * width)
            held = 0
        held += count
    return list(zip(starts, [*starts[1:], None], strict=True))
