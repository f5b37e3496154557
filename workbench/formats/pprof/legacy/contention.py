"""Waiting for locks, as Go's ``debug=1`` (mutex and block) and C++ servers write it.

After ``--- mutex:`` or ``--- contentionz N ---`` come attributes, then one line a stack: cycles and
how often.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from workbench.formats.pprof.legacy.build import Legacy
from workbench.formats.pprof.legacy.maps import mappings
from workbench.formats.pprof.legacy.text import addresses, groups, names, refused, said, shown
from workbench.profiles.stack_texts import numbers

if TYPE_CHECKING:
    import polars as pl

_ATTRIBUTE = re.compile(r"\s*([^=@]+?)\s*=\s*(.*?)\s*$")
_NUMBER = re.compile(r"-?\d{1,18}")
_SAMPLE = r"^\s*(?<cycles>[0-9]+) +(?<n>[0-9]+) @(?<stack>[ x0-9a-f]*)\s*$"
_IGNORED = ("discarded samples",)
_MANY = 64
DROP_FRAMES = (
    r"(base::)?(RecordLock|SubmitMutex|SubmitSpinLock)ProfileData.*|"
    r"(base::)?(Mutex::)?(AwaitCommon|Unlock|ReaderUnlock).*|"
    r"(SpinLock::)?(Slow)?Unlock.*|(base::)?(MutexLock|SpinLockHolder)::~.*"
)
"""Functions of locks themselves, in the base library of the servers that write such profiles."""


def read(lines: pl.Series, maps: pl.Series) -> Legacy:
    """Read contentions.

    Raises
    ------
    ImportFormatError
        An attribute is not known or no number, or a sample is not whole.
    """
    attributes, body = _attributes(lines.slice(1))
    ends = np.flatnonzero(body.str.starts_with("---").to_numpy())
    body = body.slice(0, int(ends[0])) if len(ends) else body
    period, hertz = attributes.get("sampling period", 1), attributes.get("cycles/second", 0)
    found = groups(body, _SAMPLE)
    cycles, count = numbers(found["cycles"], "A time"), numbers(found["n"], "A count")
    if period > 0:
        count = count * period
        if hertz > 0:
            delay = cycles.astype(np.float64) * period / (hertz / 1e9)
            cycles = np.minimum(np.trunc(delay), float((1 << 63) - 1024)).astype(np.int64)
    told = names(body)
    flat, offsets = addresses(found["stack"])
    return Legacy(
        (("contentions", "count"), ("delay", "nanoseconds")),
        np.stack([count, cycles], axis=1),
        shown(flat - np.uint64(1), offsets, told),
        ("contentions", "count", period),
        duration_ns=max(0, attributes.get("ms since reset", 0)) * 1_000_000,
        mappings=mappings(maps),
        names=told,
        drop_frames=DROP_FRAMES,
    )


def _attributes(lines: pl.Series) -> tuple[dict[str, int], pl.Series]:
    """Return the attributes at the begin of lines, and the lines behind them."""
    found: dict[str, int] = {}
    rows = np.flatnonzero(said(lines))
    for row in rows[:_MANY].tolist():
        match = _ATTRIBUTE.match(str(lines[row]))
        if not match:
            return found, lines.slice(row)
        if match[1] in ("cycles/second", "sampling period", "ms since reset"):
            if not _NUMBER.fullmatch(match[2]):
                raise refused(f"{match[1]} cannot be {match[2][:40]!r}")
            found[match[1]] = int(match[2])
        elif match[1] not in _IGNORED:
            raise refused(f"it has an attribute that is not known: {match[1][:40]!r}")
    if len(rows) > _MANY:
        raise refused(f"it has more than {_MANY} attributes")
    return found, lines.slice(len(lines))
