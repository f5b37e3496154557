"""What the tables and columns of an imported profile are called."""

from __future__ import annotations

import re
from collections.abc import Iterable

from workbench.kinds import all_kinds
from workbench.schema import SIDE_TABLES
from workbench.store.columns import KEYS

MAX_NAME = 60
TAKEN = ("ts", "cpu", "pid", "tid", "comm", "stack_id", "weight", "nr", "ret", "name", "errno")
"""Columns that mean something of their own in every session."""

SHARED = ("cpu", "offcpu")
"""Kinds whose tables imported samples can fill: a stack, a weight, and times."""

_TABLES = (
    ("offcpu", re.compile(r"off_?cpu(_.*)?")),
    ("heap", re.compile(r"(alloc|inuse)_(objects|space)")),
    ("cpu", re.compile(r"(on_?)?cpu(_?time)?")),
    ("contention", re.compile(r"contentions|delay")),
)
"""Tables by the names that pprof's writers give to their values: Go's runtime/pprof ("samples" and
"cpu", "alloc_space", "contentions" and "delay"), and this workbench."""

_UNITS = {
    "ns": ("ns", 1),
    "nanosecond": ("ns", 1),
    "nanoseconds": ("ns", 1),
    "us": ("ns", 1000),
    "microsecond": ("ns", 1000),
    "microseconds": ("ns", 1000),
    "ms": ("ns", 10**6),
    "millisecond": ("ns", 10**6),
    "milliseconds": ("ns", 10**6),
    "s": ("ns", 10**9),
    "second": ("ns", 10**9),
    "seconds": ("ns", 10**9),
    "b": ("bytes", 1),
    "byte": ("bytes", 1),
    "bytes": ("bytes", 1),
    "kilobyte": ("bytes", 1 << 10),
    "kilobytes": ("bytes", 1 << 10),
    "megabyte": ("bytes", 1 << 20),
    "megabytes": ("bytes", 1 << 20),
}


def unit_of(unit: str) -> tuple[str, int]:
    """Return the unit that a session has for one of a file, and by what amounts are multiplied."""
    known = _UNITS.get(unit.lower())
    if known is None:
        return (unit, 1) if unit and unit != "count" else ("1", 1)
    return known


def table_of(values: Iterable[str], default: str = "") -> str:
    """Return the name of the table for samples with these values.

    Parameters
    ----------
    values : iterable of str
        Names of the values.
    default : str
        Name of the one that is meant where nothing is said.

    Returns
    -------
    str
        ``cpu``, ``offcpu``, ``heap``, ``contention``, or the default value's name. It is never
        that of a kind whose columns the samples do not have.
    """
    names = [value.lower() for value in values]
    for table, pattern in _TABLES:
        if any(pattern.fullmatch(name) for name in names):
            return table
    return safe_table(default or (names[-1] if names else ""))


def safe_table(text: str) -> str:
    """Return a name that a table of samples may have, as near to a text as possible."""
    name = identifier(text, "samples")
    taken = name in SIDE_TABLES or name in KEYS or name in all_kinds() or name.endswith("_agg")
    return f"{name}_samples" if taken and name not in SHARED else name


def column_of(text: str, used: Iterable[str], suffix: str = "value") -> str:
    """Return a name that a column may have, none of `used`, as near to a text as possible."""
    name = identifier(text, "value")
    there = {*used, *TAKEN}
    if name in there:
        name = f"{name}_{identifier(suffix, 'value')}"[: MAX_NAME + 20]
    number, unique = 2, name
    while unique in there:
        unique, number = f"{name}_{number}", number + 1
    return unique


def identifier(text: str, otherwise: str) -> str:
    """Return a text as lower-case letters, digits and ``_``, beginning with a letter."""
    name = re.sub(r"[^a-z0-9]+", "_", text[: 4 * MAX_NAME].lower()).strip("_")[:MAX_NAME]
    if not name:
        return otherwise
    return name if name[0].isalpha() else f"{otherwise}_{name}"
