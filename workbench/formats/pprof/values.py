"""What the samples of a table are worth, and what is known of each: by table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from workbench.errors import ExportError
from workbench.formats.pprof.allocations import allocations
from workbench.formats.pprof.sample_types import (
    BYTES,
    COUNTED,
    NANOSECONDS,
    LabelType,
    Rows,
    SampleType,
    Valued,
    labels_of,
)
from workbench.frames.allocations import EVENTS as MEMORY
from workbench.frames.needs import has, need
from workbench.frames.stacks import COUNT, DEFAULTS, profiled
from workbench.profiles.names import unit_of

if TYPE_CHECKING:
    from workbench.recording import Recording


def chosen_table(rec: Recording, table: str | None) -> str:
    """Return the table to write: the one that was asked for, else ``cpu``, else the first one.

    Raises
    ------
    ExportError
        The table that was asked for has no stacks.
    MissingTableError
        There is no such table, or none with stacks.
    """
    if table is not None:
        if "stack_id" not in rec[table].schema.names or not has(rec, "stacks"):
            raise ExportError(
                f"{table} has no stacks, and pprof holds nothing else.",
                advice="Record it with stacks=True, where it takes that.",
            )
        return table
    name = profiled(rec)
    need(rec, name, "stack_id")
    return name


def valued(rec: Recording, table: str) -> Valued:
    """Return the samples of a table with their values.

    ``cpu`` has samples and, if its rate is known, time; ``offcpu`` events and times; ``memory``
    what Go's heap profiles have; ``locks`` what Go's mutex profiles have; an imported table what
    its file had; others their events, and the sums of what is a duration or a size.

    Raises
    ------
    MissingTableError
        The table lacks a column.
    """
    facts = rec.manifest.kinds.get(table, {})
    if isinstance(facts.get("values"), list | tuple):
        return _imported(rec, table, facts)
    if table == MEMORY:
        return allocations(rec)
    if table == "cpu":
        return _cpu(rec)
    return _others(rec, table)


def _cpu(rec: Recording) -> Valued:
    import polars as pl

    labels = labels_of(rec, "cpu")
    need(rec, "cpu", "stack_id", COUNT, *(label.column for label in labels))
    hz = rec.manifest.kinds.get("cpu", {}).get("hz")
    count = pl.col(COUNT).cast(pl.Int64)
    types = [SampleType("samples", COUNTED, "samples")]
    if not isinstance(hz, int | float) or not hz > 0:
        return Valued(Rows(rec["cpu"], {"samples": count}), tuple(types), labels, "samples")
    period = round(1e9 / hz)
    types.append(SampleType("cpu", NANOSECONDS, "time"))
    rows = Rows(rec["cpu"], {"samples": count, "time": count * period})
    return Valued(rows, tuple(types), labels, "cpu", ("cpu", NANOSECONDS, period))


def _others(rec: Recording, table: str) -> Valued:
    import polars as pl

    labels = labels_of(rec, table)
    schema = rec[table].schema
    sums = [(field.name, _sum_unit(field)) for field in schema]
    summed = {name: unit for name, unit in sums if unit}
    need(rec, table, "stack_id", COUNT, *summed, *(label.column for label in labels))
    count = pl.col(COUNT).cast(pl.Int64)
    columns = {"value_0": count}
    times = {}
    types = [SampleType(_NAMES.get((table, COUNT), f"{table}_events"), COUNTED, "value_0")]
    for number, (name, unit) in enumerate(summed.items(), 1):
        column = f"value_{number}"
        columns[column] = times[name] = pl.col(name).cast(pl.Int64).fill_null(0) * count
        types.append(SampleType(_NAMES.get((table, name), f"{table}_{name}"), unit, column))
    if table == "offcpu":
        columns["off"] = times["blocked"] + times["runnable"]
        types.append(SampleType("offcpu", NANOSECONDS, "off"))
    default = _NAMES.get((table, DEFAULTS.get(table, "")), types[0].name)
    return Valued(Rows(rec[table], columns), tuple(types), labels, default)


_NAMES = {
    ("locks", COUNT): "contentions",
    ("locks", "waited"): "delay",
    ("offcpu", "off"): "offcpu",
}
"""Names that differ from TABLE_COLUMN: those of locks are what Go's mutex profiles have."""


def _sum_unit(field: Any) -> str:
    """Return the unit of a column whose sum means something, "" for others."""
    from pyarrow import types

    if types.is_duration(field.type):
        return NANOSECONDS
    unit = (field.metadata or {}).get(b"unit")
    sizes = types.is_integer(field.type) and field.name in ("size", "bytes")
    return BYTES if sizes and unit == b"bytes" else ""


def _imported(rec: Recording, table: str, facts: Any) -> Valued:
    """Return what the file had from which the table was made."""
    import polars as pl

    schema = rec[table].schema
    types, columns = [], {}
    for number, told in enumerate(_told(facts.get("values"), schema.names)):
        name, unit, column = (str(told.get(key, "")) for key in ("type", "unit", "column"))
        own, factor = unit_of(unit)
        meta = (schema.field(column).metadata or {}).get(b"unit", b"").decode()
        amount = pl.col(column).cast(pl.Int64).fill_null(0)
        # Times were made ns unless they would not have fitted; the sum is again a whole number.
        columns[f"value_{number}"] = amount // factor if own == meta and factor > 1 else amount
        types.append(SampleType(name, unit, f"value_{number}"))
    keys = facts.get("keys") or {}
    labels = tuple(
        LabelType(str(keys.get(told["name"], told["name"])), str(told["unit"]), told["column"])
        for told in _told(facts.get("labels"), schema.names)
        if keys.get(told["name"]) != ""  # a copy
    )
    default = str(facts.get("default_type", ""))
    return Valued(Rows(rec[table], columns), tuple(types), labels, default, _period(facts))


def _period(facts: Any) -> tuple[str, str, int] | None:
    told = facts.get("period")
    if isinstance(told, list | tuple) and len(told) == 3 and isinstance(told[2], int):
        return str(told[0]), str(told[1]), told[2]
    return None


def _told(listing: Any, there: Sequence[str]) -> list[dict[str, Any]]:
    """Return the entries of a list in the manifest whose column exists."""
    if not isinstance(listing, list | tuple):
        return []
    listed = [each for each in listing if isinstance(each, dict) and each.get("column") in there]
    return [{"name": "", "unit": ""} | each for each in listed]
