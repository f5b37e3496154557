"""Figures as people read them: durations, counts, sizes, shares. See also ``static/embed.js``."""

from __future__ import annotations

_TIMES = ((1e9, "s"), (1e6, "ms"), (1e3, "µs"))
_SIZES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def duration(ns: float | None) -> str:
    """Return nanoseconds with three significant digits and a unit, "–" for None.

    From two minutes on minutes and seconds are given, from two hours on hours and minutes.
    """
    if ns is None:
        return "–"
    if ns < 0:
        return f"-{duration(-ns)}"
    if ns >= 7200e9:
        hours, rest = divmod(round(ns / 60e9), 60)
        return f"{hours:,} h {rest} min"
    if ns >= 120e9:
        minutes, rest = divmod(round(ns / 1e9), 60)
        return f"{minutes} min {rest} s"
    for size, unit in _TIMES:
        if ns >= size * 0.9995:
            return f"{digits(ns / size)} {unit}"
    return f"{digits(ns)} ns"


def digits(value: float) -> str:
    """Return a number with three significant digits and no exponent."""
    if value >= 99.95:
        return f"{value:,.0f}"
    places = 1 if value >= 9.995 else 2
    return f"{value:.{places}f}".rstrip("0").rstrip(".")


def count(number: int | None) -> str:
    """Return a whole number with thousands separated, "–" for None."""
    return "–" if number is None else f"{number:,}"


def amount(weight: float, unit: str) -> str:
    """Return a weight of a flamegraph: "1,234 samples"; of "ns" a duration, of "bytes" a size."""
    if unit == "bytes":
        return size(weight)
    return duration(weight) if unit == "ns" else f"{round(weight):,} {unit}"


def short_count(number: float) -> str:
    """Return a number with three significant digits and k, M, G: 12.3k."""
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size * 0.9995:
            return f"{digits(number / size)}{unit}"
    return digits(number)


def size(number: float | None) -> str:
    """Return bytes in binary units, "–" for None."""
    if number is None:
        return "–"
    step = 0
    while number >= 1023.5 and step < len(_SIZES) - 1:
        number, step = number / 1024, step + 1
    return f"{digits(number)} {_SIZES[step]}"


def share(part: float | None) -> str:
    """Return a share of one as percent, "–" for None; never "0%" for a share above 0."""
    if part is None:
        return "–"
    if part == 0:
        return "0%"
    if part < 0.0001:
        return "<0.01%"
    return f"{part:.2%}" if part < 0.0995 else f"{part:.1%}".replace("100.0%", "100%")
