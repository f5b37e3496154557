"""Which profiles a session holds: on the CPU, off the CPU, memory, and any kind with stacks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

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
    """

    name: str
    table: str
    type: str
    unit: str
    values: tuple[str, ...] = ()
    op: str = ""
    live: bool = False


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
TEXTS = (
    *("cpu", "nanoseconds", *_EVENTS),
    *(text for own in _OWN.values() for each in own for text in (each.type, each.unit)),
)
"""Texts that the types of profiles use."""


def profile_types(rec: Recording) -> tuple[ProfileType, ...]:
    """Return the profiles of a session: of each table whose rows have stacks."""
    if not {"stacks", "frames"} <= set(rec.tables):
        return ()
    found: list[ProfileType] = []
    for name, table in rec.tables.items():
        columns = set(table.schema.names)
        if {"ts", "stack_id", "pid", "tid"} <= columns:
            own = _OWN.get(name, (ProfileType(name, name, *_EVENTS),))
            found += [each for each in own if set(each.values) <= columns]
    return tuple(found)
