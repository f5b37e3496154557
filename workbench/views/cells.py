"""Columns of dataframes as texts for people: times, sizes, shares, histograms, with their units."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from workbench.frames.quantiles import BUCKETS
from workbench.views import units

if TYPE_CHECKING:
    import polars as pl

IDS = ("pid", "tid", "cpu", "irq", "depth", "status", "signal", "port", "errno", "socket", "inode")
"""Ends of the names of columns whose numbers are names of things."""
SHARES = ("hit_ratio", "freed", "share")
ADDRESSES = ("lock", "address")
BARS = "▁▂▃▄▅▆▇█"


def cells(column: pl.Series) -> list[str]:
    """Return the values of a column for people: numbers of things grouped, ids as they are.

    Durations and numbers of bytes get their unit, shares become percent, log2 histograms a row of
    bars with the range of what was seen; what is not known is a dash.
    """
    show = _shown(column)
    return ["–" if value is None else show(value) for value in _plain(column).to_list()]


def is_right(column: pl.Series) -> bool:
    """Return whether a column is aligned to the right."""
    return bool(column.dtype.is_numeric() or column.dtype.is_temporal())


def is_bytes(name: str) -> bool:
    """Return whether a column of that name holds numbers of bytes."""
    return "bytes" in name.split("_")


def histogram(counts: Sequence[int], show: Callable[[int], str]) -> str:
    """Return a log2 histogram as text, such as "▁█▃ 16–127".

    Parameters
    ----------
    counts : sequence of int
        Those of [2^i, 2^(i+1)); the first one holds what is below 2, too.
    show : callable
        From a value to text.
    """
    seen = [at for at, count in enumerate(counts) if count]
    if not seen:
        return "–"
    first, last = seen[0], seen[-1]
    most = max(counts)
    bars = (
        BARS[-(-count * (len(BARS) - 1) // most)] if count else " "
        for count in counts[first : last + 1]
    )
    low = 1 << first if first else 0
    return f"{''.join(bars)} {show(low)}–{show((2 << last) - 1)}"


def _plain(column: pl.Series) -> pl.Series:
    import polars as pl

    return column.cast(pl.Int64) if isinstance(column.dtype, pl.Duration) else column


def _shown(column: pl.Series) -> Callable[[Any], str]:
    import polars as pl

    name, kind = column.name, column.dtype
    if isinstance(kind, pl.Array | pl.List):
        return _listed(column)
    if name == "name":  # indentation of a tree
        return lambda text: str(text).replace("  ", "\u2003")
    texts: dict[type[pl.DataType], Callable[[Any], str]] = {
        pl.Duration: units.duration,
        pl.Datetime: lambda time: f"{time:%H:%M:%S.%f}",
        pl.Boolean: lambda value: "yes" if value else "no",
    }
    plain = _number(name, integer=kind.is_integer(), floating=kind.is_float())
    return texts.get(kind.base_type(), plain)


def _listed(column: pl.Series) -> Callable[[Any], str]:
    import polars as pl

    if isinstance(column.dtype, pl.Array) and column.dtype.size == BUCKETS:
        show = units.duration if column.name.endswith("latency") else units.count
        return lambda counts: histogram(list(counts), show)
    return lambda values: ", ".join(str(value) for value in values)


def _number(name: str, *, integer: bool, floating: bool) -> Callable[[Any], str]:
    if integer and name in ADDRESSES:
        return lambda address: f"{address:#x}"
    if (integer or floating) and is_bytes(name):
        return units.size
    if floating:
        return units.share if name in SHARES or name.endswith("_share") else _digits
    return units.count if integer and not name.endswith(IDS) else str


def _digits(value: float) -> str:
    return units.digits(value) if value >= 0 else f"-{units.digits(-value)}"
