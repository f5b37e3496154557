"""Which profiles a session holds: on the CPU, off the CPU, memory, and any kind with stacks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.recording import Recording


@dataclass(frozen=True)
class ProfileType:
    """One value of the samples of a table.

    Parameters
    ----------
    name : str
        Unique in a session: the table, or the table and the value.
    table : str
    type, unit : str
        What a value is; the names are those of pprof and of OTLP's own examples.
    values : tuple of str
        Columns whose sum, times the weight of a row, is its value; none counts events.
    op : str
        Of ``memory``: rows that count.
    live : bool
        Only what was not freed.
    weighed : bool
        Values are those of one event; else of all that the row stands for.
    """

    name: str
    table: str
    type: str
    unit: str
    values: tuple[str, ...] = ()
    op: str = ""
    live: bool = False
    weighed: bool = True


_OWN = {
    "cpu": (ProfileType("cpu", "cpu", "samples", "count"),),
    "offcpu": (ProfileType("offcpu", "offcpu", "off_cpu", "nanoseconds", ("blocked", "runnable")),),
    "locks": (ProfileType("locks", "locks", "delay", "nanoseconds", ("waited",)),),
    "memory": tuple(
        ProfileType(
            f"memory.{name}_{what}",
            "memory",
            f"{name}_{what}",
            unit,
            ("size",) if what == "space" else (),
            "alloc",
            live=name == "inuse",
        )
        for name in ("alloc", "inuse")
        for what, unit in (("objects", "count"), ("space", "bytes"))
    ),
}
_EVENTS = ("events", "count")
_UNITS = {"ns": "nanoseconds", "1": "count"}
"""Units of columns as profiles name them; others have one name."""


def profile_types(rec: Recording) -> tuple[ProfileType, ...]:
    """Return the profiles of a session: of each table whose rows have stacks."""
    if not {"stacks", "frames"} <= set(rec.tables):
        return ()
    found: list[ProfileType] = []
    for name, table in rec.tables.items():
        columns = set(table.schema.names)
        if {"ts", "stack_id"} <= columns:
            own = _imported(name, table.schema) or _OWN.get(name)
            own = own or (ProfileType(name, name, *_EVENTS),)
            found += [each for each in own if set(each.values) <= columns]
    return tuple(found)


def _imported(name: str, schema: Any) -> tuple[ProfileType, ...]:
    """Return the values of a table of an imported profile: its columns hold sums of rows."""
    sums = [each for each in schema if (each.metadata or {}).get(b"of") == b"row"]
    units = [(each.metadata or {}).get(b"unit", b"1").decode() for each in sums]
    return tuple(
        ProfileType(
            f"{name}.{each.name}",
            name,
            each.name,
            _UNITS.get(unit, unit),
            (each.name,),
            weighed=False,
        )
        for each, unit in zip(sums, units, strict=True)
    )
