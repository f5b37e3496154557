"""From what was read of some requests at a time to one profile: frames and stacks get one number.

Requests have dictionaries of their own; what is the same in several of them is the same here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from workbench.errors import ImportFormatError
from workbench.formats.otlp.reading.read_batch import Attributes, Batch, Kind, Rows
from workbench.formats.otlp.reading.read_joined import joined
from workbench.formats.pprof.frames import MAX_ENTRIES, located
from workbench.formats.pprof.numbering import number_lists, ranges
from workbench.profiles.names import safe_table, table_of, unit_of
from workbench.profiles.profile import Profile, Samples, Value
from workbench.profiles.tables import stacks_table

_EXTRA = ("address", "start_line", "column", "system_name")
_COMMENT = "pprof.profile.comment"
_TOLD = {
    "drop_frames": "pprof.profile.drop_frames",
    "keep_frames": "pprof.profile.keep_frames",
    "doc_url": "pprof.profile.doc_url",
}
"""Attributes of profiles that were pprof's before, by the names that imported ones have."""
_DEFAULT = "pprof.scope.default_sample_type"
_MANY, _LONG = 64, 1000
"""Resources, scopes and attributes, and characters of each: they go into the manifest."""


def merged(batches: Sequence[Batch]) -> Profile:
    """Return a profile of all that was read; at least one batch.

    Raises
    ------
    ImportFormatError
        It has too many stacks, or no samples.
    """
    frames, stacks, numbers = _stacks(batches)
    starts = [each.start for each in batches if each.start > 0]
    start, end = min(starts, default=0), max(each.end for each in batches)
    kinds = dict.fromkeys(kind for each in batches for kind in each.rows)
    samples = [_samples(kind, batches, numbers, start) for kind in kinds]
    if not samples:
        raise ImportFormatError("The profiles hold no samples.")
    default = _first(each.get(_DEFAULT) for one in batches for each in one.scopes)
    empty = sum(each.empty for each in batches)
    return Profile(
        frames,
        stacks,
        tuple(joined(samples, _text(default))),
        program=_program(each for one in batches for each in one.resources),
        start_ns=start or None,
        duration_ns=max(0, end - start) if start else None,
        facts=_facts(batches),
        problems=(f"{empty:,} samples had neither a value nor a time: they are left out.",)
        if empty
        else (),
    )


def _stacks(batches: Sequence[Batch]) -> tuple[Any, Any, list[Any]]:
    """Return frames, stacks, and the number of each stack of each batch."""
    import polars as pl

    if sum(len(each.flat) for each in batches) > MAX_ENTRIES:
        raise ImportFormatError(
            "The file has more stack frames than can be imported.",
            why=f"At most {MAX_ENTRIES:,} in all are.",
        )
    base = np.cumsum([0, *(each.frames.height for each in batches)])
    flat = np.concatenate(
        [each.flat.astype(np.int64) + at for each, at in zip(batches, base, strict=False)]
    )
    every = pl.concat([each.frames for each in batches])
    used, flat = np.unique(flat, return_inverse=True)
    rows = every[used]
    frames = rows.unique(maintain_order=True)
    found = rows.join(
        frames.with_row_index("row"), on=rows.columns, how="left", maintain_order="left"
    )
    flat = found["row"].to_numpy().astype(np.int64)[flat]
    lengths = np.concatenate([np.diff(each.offsets) for each in batches])
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    number, first = number_lists(flat, offsets)
    at = ranges(offsets[first], offsets[first + 1])
    ends = np.concatenate([[0], np.cumsum(lengths[first])])
    table = stacks_table(flat[at].astype(np.uint32), ends)
    cuts = np.cumsum([len(each.offsets) - 1 for each in batches])[:-1]
    return located(frames, _EXTRA), table, np.split(number, cuts)


def _samples(kind: Kind, batches: Sequence[Batch], numbers: list[Any], start: int) -> Samples:
    """Return the samples of one kind."""
    parts = [
        (each.rows[kind], number)
        for each, number in zip(batches, numbers, strict=True)
        if kind in each.rows
    ]
    ids = np.concatenate([number[rows.stack] for rows, number in parts])
    amounts = np.concatenate([rows.amount for rows, _ in parts])
    columns = _columns([rows for rows, _ in parts], start)
    units = {name: unit for each in batches for name, unit in each.units.items() if name in columns}
    keys = {name: key for each in batches for name, key in each.keys.items() if name in columns}
    facts: dict[str, Any] = {"keys": keys}
    if kind.period or kind.period_type:
        facts["period"] = [kind.period_type, kind.period_unit, kind.period]
    unit, factor = unit_of(kind.period_unit)
    timed = unit == "ns" and 0 < kind.period * factor < 1 << 63
    return Samples(
        ids.astype(np.uint32),
        (Value(kind.type or "samples", kind.unit, amounts),),
        columns,
        units,
        table=_table(kind),
        period_ns=kind.period * factor if timed else None,
        facts=facts,
    )


def _columns(parts: list[Rows], start: int) -> dict[str, Any]:
    """Return the columns of all parts; what a part does not have is null there."""
    import pyarrow as pa

    ts = np.concatenate([rows.ts for rows in parts])
    result = {"ts": pa.array(np.where(ts > 0, ts, start))} if (ts > 0).any() else {}
    for name in dict.fromkeys(name for rows in parts for name in rows.columns):
        given = [rows.columns.get(name) for rows in parts]
        types = {each.type for each in given if each is not None}
        kind = types.pop() if len(types) == 1 else pa.string()
        arrays = [
            pa.nulls(len(rows.ts), kind) if each is None else each.cast(kind)
            for rows, each in zip(parts, given, strict=True)
        ]
        result[name] = pa.concat_arrays(arrays)
    return result


def _table(kind: Kind) -> str:
    """Return the table: that which the workbench exported, ``cpu`` or ``offcpu``, or the type's."""
    if kind.name:
        return safe_table(kind.name)
    name = table_of((kind.type,))
    if name in ("cpu", "offcpu"):
        return name
    sampled = kind.type in ("samples", "") and kind.period_type in ("cpu", "")
    return "cpu" if sampled else safe_table(kind.type)


def _program(resources: Iterable[Attributes]) -> str:
    """Return the name of the program, as far as resources tell."""
    for one in resources:
        name, path, service = (
            _text(one.get(key))
            for key in ("process.executable.name", "process.executable.path", "service.name")
        )
        service = "" if service.startswith("unknown_service") else service
        if found := name or PurePosixPath(path).name or service:
            return found
    return ""


def _facts(batches: Sequence[Batch]) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for name in ("resources", "scopes"):
        plain = [_plain(each) for one in batches for each in getattr(one, name)[:_MANY] if each]
        distinct = {repr(each): each for each in plain}
        facts[name] = list(distinct.values())[:_MANY]
    own = [each for one in batches for each in one.profiles]
    comments: list[Any] = []
    for each in own:
        said = each.get(_COMMENT)
        comments += said if isinstance(said, list) else [] if said is None else [said]
    facts["comments"] = list(dict.fromkeys(_text(each)[:_LONG] for each in comments))[:_MANY]
    for name, key in _TOLD.items():
        if found := _text(_first(each.get(key) for each in own)):
            facts[name] = found[:_LONG]
    return facts


def _first(values: Iterable[Any]) -> Any:
    return next((each for each in values if each is not None), None)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _plain(attributes: Attributes) -> dict[str, Any]:
    """Return attributes as JSON has them, as far as a manifest takes them."""
    return {key[:_LONG]: _short(value) for key, value in list(attributes.items())[:_MANY]}


def _short(value: Any) -> Any:
    if isinstance(value, list):
        return [_short(each) for each in value[:_MANY]]
    if isinstance(value, dict):
        return _plain(value)
    if isinstance(value, str):
        return value[:_LONG]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
