"""Profiles: samples that share stack and thread as one, with the times and values of each.

A profile that does not fit into one request is cut into several, each whole in itself: with
its own dictionary and its own ``profile_id``. All of them have the attribute
``workbench.profile``, which is the id of the first, and which the scope of spans names, too.
Samples link to the span of their thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import ExportError
from workbench.formats.otlp import wire
from workbench.formats.otlp.identity import profile_id
from workbench.formats.otlp.origin import SCHEMA_URL, resource, scope
from workbench.formats.otlp.profiles.dictionary import Dictionary, integers, strings, varint, whole
from workbench.formats.otlp.profiles.profile_samples import samples_of
from workbench.formats.otlp.profiles.profile_types import ProfileType, profile_types
from workbench.formats.otlp.profiles.symbols import Symbols
from workbench.formats.otlp.request import Request

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from workbench.formats.otlp.lives import People
    from workbench.recording import Recording

ROWS = 1 << 17
"""Samples of a profile at most: the more, the fewer dictionaries."""
_KEYS = {"pid": "process.pid", "tid": "thread.id", "comm": "thread.name"}
"""Columns of samples, and their attributes."""
_SERIES = "workbench.profile"


@dataclass(frozen=True)
class _Maker:
    """What the requests of one profile have in common."""

    symbols: Symbols
    people: People
    type: ProfileType
    period: int
    before: bytes
    scope: bytes


def profiles(rec: Recording, people: People, max_bytes: int) -> Iterator[Request]:
    """Yield the profiles of the selected part of a session.

    ``items`` of a request are its samples, as they were taken.

    Parameters
    ----------
    rec : Recording
        Kinds without stacks are left out.
    people : People
        Its processes and threads.
    max_bytes : int
        No request is larger.

    Raises
    ------
    ExportError
        One sample with its stack does not fit into `max_bytes`.
    """
    types = profile_types(rec)
    if not types:
        return
    told = [text for each in types for text in (each.type, each.unit)]
    symbols = Symbols(rec, ("cpu", "nanoseconds", *told))
    origin = wire.field(1, resource(rec)), wire.field(1, scope(rec))
    for type_ in types:
        made = _Maker(symbols, people, type_, _period(rec, type_), *origin)
        part = 0
        low, high = rec.selection.window or (people.start, people.end)
        window = max(low, people.start), min(high, people.end)
        for rows in samples_of(rec, symbols, people, type_, ROWS):
            for data, count in _fitting(made, rows, window, part, max_bytes):
                yield Request("profiles", count, data)
                part += 1


def _period(rec: Recording, type_: ProfileType) -> int:
    """Return the ns between two samples, 0 where that is not the sort of profile."""
    hz = (rec.manifest.kinds.get("cpu") or {}).get("hz")
    return round(1e9 / hz) if type_.table == "cpu" and isinstance(hz, int) and hz > 0 else 0


def _fitting(
    made: _Maker, rows: pl.DataFrame, window: tuple[int, int], part: int, max_bytes: int
) -> Iterator[tuple[bytes, int]]:
    """Yield requests of at most `max_bytes`: rows are halved until they fit."""
    todo = [rows]
    while todo:
        some = todo.pop()
        data = _request(made, some, window, part)
        if len(data) <= max_bytes:
            yield data, some.height
            part += 1
        elif some.height == 1:
            raise ExportError(
                f"A sample with its stack takes {len(data)} bytes, more than {max_bytes}.",
                advice="Allow larger requests.",
            )
        else:
            half = some.height // 2
            todo += [some[half:], some[:half]]


def _request(made: _Maker, rows: pl.DataFrame, window: tuple[int, int], part: int) -> bytes:
    """Return one ``ExportProfilesServiceRequest``."""
    import polars as pl

    keys = [name for name in rows.columns if name not in ("ts", "value")]
    grouped = rows.group_by(keys, maintain_order=True).agg("ts", "value")
    period = ("cpu", "nanoseconds") if made.period else ()
    named = [key for name, key in _KEYS.items() if _known(grouped, name)]
    texts = (made.type.type, made.type.unit, *period, *named, _SERIES)
    dictionary = Dictionary(made.symbols, grouped["stack"].to_numpy(), texts)
    sizes = grouped["ts"].list.len().to_numpy().astype(np.int64)
    flat = grouped["ts"].explode(empty_as_null=False).to_numpy().astype(np.int64)
    values = grouped["value"].explode(empty_as_null=False).to_numpy().astype(np.int64)
    samples = wire.message(
        2,
        varint(1, dictionary.stack(grouped["stack"].to_numpy())),
        wire.message(2, _attributes(dictionary, grouped)),
        varint(3, _links(made.people, dictionary, grouped)),
        wire.message(4, wire.lists(sizes, wire.varints(values))),
        wire.message(5, wire.lists(sizes, wire.block(flat.astype("<i8")))),
    )
    own = dictionary.attributes(_SERIES, strings([_series(made).hex()]))
    start = int(rows.select(pl.col("ts").min()).item())
    end = int(rows.select(pl.col("ts").max()).item()) + 1
    if part == 0:
        start, end = min(start, window[0]), max(end, window[1])
    head = wire.field(1, _value_type(dictionary, made.type.type, made.type.unit))
    tail = [
        wire.fixed64(3, start),
        wire.integer(4, end - start),
        wire.field(7, profile_id(made.people.session, made.type.name, part)),
        wire.field(11, wire.varint(own)),
    ]
    if made.period:
        tail += [
            wire.field(5, _value_type(dictionary, "cpu", "nanoseconds")),
            wire.integer(6, made.period),
        ]
    profile = b"".join([head, whole(samples), *tail])
    url = wire.field(3, SCHEMA_URL)
    scoped = wire.field(2, b"".join([made.scope, wire.field(2, profile), url]))
    body = wire.field(1, b"".join([made.before, scoped, url]))
    return body + wire.field(2, dictionary.encoded())


def _series(made: _Maker) -> bytes:
    return profile_id(made.people.session, made.type.name)


def _value_type(dictionary: Dictionary, type_: str, unit: str) -> bytes:
    return wire.integer(1, dictionary.text(type_)) + wire.integer(2, dictionary.text(unit))


def _attributes(dictionary: Dictionary, grouped: pl.DataFrame) -> pa.BinaryArray:
    """Return the indices of each sample's attributes, packed."""
    import polars as pl

    columns = []
    for name, key in _KEYS.items():
        if not _known(grouped, name):
            continue
        unique = grouped[name].unique(maintain_order=True)
        if name == "comm":
            unique = unique.filter(unique.fill_null("") != "")
            values = strings(unique.to_arrow(compat_level=pl.CompatLevel.oldest()).cast("string"))
        else:
            values = integers(unique.to_numpy())
        start = dictionary.attributes(key, values)
        number = {value: start + place for place, value in enumerate(unique.to_list())}
        index = grouped[name].replace_strict(number, default=0, return_dtype=pl.Int64).to_numpy()
        columns.append(wire.present(wire.varints(index), index > 0))
    if not columns:
        return wire.block(np.zeros((grouped.height, 0), np.uint8))
    return wire.join(*columns)


def _known(grouped: pl.DataFrame, name: str) -> bool:
    """Return whether samples tell of this; thread names may be empty."""
    return name in grouped.columns and (name != "comm" or bool((grouped[name] != "").any()))


def _links(people: People, dictionary: Dictionary, grouped: pl.DataFrame) -> Any:
    """Return the index of each sample's link: to the span of its thread, 0 for none."""
    thread = grouped["thread"].to_numpy().astype(np.int64)
    used = np.unique(thread[thread >= 0])
    if not len(used):
        return np.zeros(len(thread), np.int64)
    dictionary.links(people.thread_trace(used), people.thread_span(used))
    return np.where(thread >= 0, np.searchsorted(used, thread) + 1, 0)
