"""CPU profiles of gperftools: words of the machine that wrote them, then its mappings as text.

The words 0, 3, 0, period in µs and 0; for each stack how often it was met, its depth and its
addresses, leaf first; then 0, 1, 0 (https://gperftools.github.io/gperftools/cpuprofile-fileformat.html).
With 1 as third word it is of Java, and names of the addresses follow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.formats.pprof.legacy import java
from workbench.formats.pprof.legacy.build import Legacy
from workbench.formats.pprof.legacy.maps import mappings
from workbench.formats.pprof.legacy.text import refused
from workbench.frames.stacks import kept

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HEAD = 5
"""Words."""
_KINDS = ("<u4", ">u4", "<u8", ">u8")
_TYPES = (("samples", "count"), ("cpu", "nanoseconds"))
_MAX_PERIOD = (1 << 63) // 1000
MAX_WORDS = 1 << 24
"""Words of stacks: gperftools sums them up, so that there are seldom more than some thousand."""
DROP_FRAMES = "(ProfileData|CpuProfiler)::(Add|prof_handler)|__pthread_sighandler|__restore(_rt)?"
"""Functions of the profiler itself, and those through which signals come."""


def words(content: bytes) -> str | None:
    """Return the kind of words with which a profile begins, None where it begins otherwise."""
    for kind in _KINDS:
        size = _HEAD * np.dtype(kind).itemsize
        if len(content) >= size:
            zero, three, java_, period, last = np.frombuffer(content[:size], kind).tolist()
            if (zero, three, last) == (0, 3, 0) and java_ in (0, 1) and 0 < period < _MAX_PERIOD:
                return kind
    return None


def read(content: bytes) -> Legacy:
    """Read a CPU profile.

    Raises
    ------
    ImportFormatError
        It breaks off, or what follows cannot be understood.
    """
    kind = words(content)
    if kind is None:
        raise refused("it does not begin as a CPU profile")
    size = np.dtype(kind).itemsize
    data = np.frombuffer(content, kind, min(len(content) // size, MAX_WORDS))
    data = data.astype(data.dtype.newbyteorder("="))
    starts, end = _records(data)
    counts = data[starts].astype(np.uint64).view(np.int64)
    depths = data[starts + 1].astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(depths)])
    step = np.arange(int(offsets[-1])) - np.repeat(offsets[:-1], depths)
    flat = data[np.repeat(starts + 2, depths) + step].astype(np.uint64)
    period = int(data[3]) * 1000
    rest = content[end * size :]
    values = np.stack([counts, counts * np.int64(period)], axis=1)
    times = ("cpu", "nanoseconds", period)
    if data[2] == 1:
        names = java.names(java.lines_of(rest))
        return Legacy(
            _TYPES, values, (flat, offsets), times, names=names, placed=False,
            drop_frames=DROP_FRAMES,
        )  # fmt: skip
    stacks = _without_leaf_twice(*_without_handler(calls(flat, offsets), offsets))
    lines = java.lines_of(rest)
    return Legacy(_TYPES, values, stacks, times, mappings=mappings(lines), drop_frames=DROP_FRAMES)


def calls(flat: NDArray[np.uint64], offsets: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return addresses in the calls, of those behind them; the leaf is no call."""
    less = np.ones(len(flat), np.uint64)
    less[offsets[:-1][np.diff(offsets) > 0]] = 0
    return flat - less


def _records(data: NDArray[np.unsignedinteger]) -> tuple[NDArray[np.int64], int]:
    """Return where the stacks begin, and the word behind the last one.

    Each tells where the next one is. There is one for each distinct stack, as the program itself
    sums them up.
    """
    content = memoryview(data)  # type: ignore[arg-type]
    at = _HEAD
    found: list[int] = []
    while at < len(content):
        depth = content[at + 1] if at + 1 < len(content) else 0
        after = at + 2 + depth
        if after > len(content):
            whole = len(content) < MAX_WORDS
            raise refused("a stack breaks off" if whole else "it has too many stacks")
        if depth == 1 and not content[at] and not content[at + 2]:
            return np.array(found, np.int64), after
        found.append(at)
        at = after
    return np.array(found, np.int64), at


def _without_handler(
    flat: NDArray[np.uint64], offsets: NDArray[np.int64]
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Leave out what nearly all stacks have below their leaf: the profiler's own signal handler.

    Up to two frames; of 32 stacks one may be without (``cpuProfile`` in google/pprof).
    """
    stacks = len(offsets) - 1
    for _ in range(2):
        second = offsets[:-1][np.diff(offsets) > 1] + 1
        found, counts = np.unique(flat[second], return_counts=True)
        if not len(found) or counts.max() < stacks - stacks // 32:
            break
        keep = np.ones(len(flat), np.bool_)
        keep[second[flat[second] == found[counts.argmax()]]] = False
        flat, offsets = kept(flat, offsets, keep)  # type: ignore[assignment, arg-type]
    return flat, offsets


def _without_leaf_twice(
    flat: NDArray[np.uint64], offsets: NDArray[np.int64]
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Leave out leaves that come from the signal and, as if they were calls, from the stack."""
    second = offsets[:-1][np.diff(offsets) > 1] + 1
    keep = np.ones(len(flat), np.bool_)
    keep[second[flat[second] + np.uint64(1) == flat[second - 1]]] = False
    return kept(flat, offsets, keep)  # type: ignore[return-value, arg-type]
