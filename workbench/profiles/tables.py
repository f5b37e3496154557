"""From columns to the tables of a session."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import ImportFormatError
from workbench.profiles.names import column_of, identifier, unit_of
from workbench.schema import (
    DERIVED,
    FRAMES,
    PROCESSES,
    STACKS,
    Column,
    arrow_field,
    arrow_schema,
    arrow_type,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.profiles.profile import Samples, Value

MAX_DEPTH = 1 << 16
"""Frames of one stack; Go's own profiles have at most 128, deep recursions a few thousand."""

MAX_TABLES = 48
"""Tables of samples of one file."""

ROW_SUM = {"of": "row"}
"""Metadata of columns that hold the sum of a row, whatever its ``weight``."""

_COUNTS = ("samples", "count", "events", "contentions", "offcpu_events")
_MAX_WEIGHT = (1 << 32) - 1
_MOST = 2.0**63
"""What views add up has to stay below it."""
_KNOWN = {
    "ts": Column("ts", "timestamp", "ns", "time of the sample, UTC"),
    "cpu": Column("cpu", "uint16", "1", "CPU that was sampled"),
    "pid": Column("pid", "uint32", "1", "process (thread group) id"),
    "tid": Column("tid", "uint32", "1", "thread id"),
    "comm": DERIVED["comm"],
}
_DURATIONS = {"offcpu": ("blocked", "runnable")}


def check_kinds(count: int) -> None:
    """Check that the kinds of samples in a file are not too many: each becomes a table.

    Raises
    ------
    ImportFormatError
    """
    if count > MAX_TABLES:
        raise ImportFormatError(f"The file holds more than {MAX_TABLES} kinds of samples.")


def stacks_table(flat: NDArray[np.uint32], offsets: NDArray[np.int64]) -> Any:
    """Return the table ``stacks``.

    Parameters
    ----------
    flat : numpy.ndarray
        uint32, frame ids of all stacks one after the other, leaf first.
    offsets : numpy.ndarray
        int64: stack ``i`` is ``flat[offsets[i]:offsets[i + 1]]``; its id is ``i``.
    """
    import pyarrow as pa

    schema = arrow_schema(STACKS)
    kind = schema.field("frame_ids").type
    lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(flat, pa.uint32()))
    ids = pa.array(np.arange(len(offsets) - 1, dtype=np.uint32))
    return pa.Table.from_arrays([ids, lists.cast(kind)], schema=schema)


def frames_table(columns: Mapping[str, Any], extra: Mapping[str, Any] | None = None) -> Any:
    """Return the table ``frames``.

    Parameters
    ----------
    columns : mapping of str to array
        Columns of :data:`workbench.schema.FRAMES` but ``frame_id``, which is the row; what is
        missing is "", null, 0 or "unknown".
    extra : mapping of str to pyarrow.Array, optional
        Further columns.
    """
    import pyarrow as pa

    rows = len(next(iter(columns.values())))
    given = {"frame_id": np.arange(rows, dtype=np.uint32), **columns}
    arrays = []
    for column in FRAMES:
        kind = arrow_type(column.arrow)
        plain = kind.value_type if pa.types.is_dictionary(kind) else kind
        values = given.get(column.name)
        if values is None:
            nothing = {"kind": "unknown", "offset": 0}.get(column.name, "")
            values = pa.repeat(pa.scalar(None if column.nullable else nothing, plain), rows)
        elif not isinstance(values, pa.Array | pa.ChunkedArray):
            values = pa.array(values, plain)
        arrays.append(values.cast(kind))
    fields = list(arrow_schema(FRAMES))
    for name, values in (extra or {}).items():
        fields.append(pa.field(name, values.type))
        arrays.append(values)
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def samples_table(samples: Samples, start_ns: int, program: str = "") -> tuple[Any, dict[str, Any]]:
    """Return the table of some samples, and what the manifest says of it.

    Parameters
    ----------
    samples : Samples
    start_ns : int
        Time of samples that have none of their own, ns UTC.
    program : str
        Thread name of samples that have none.

    Returns
    -------
    pyarrow.Table
        ``ts``, what else is known of each sample, ``stack_id``, a column for each value
        (int64, or a duration in ns; the sum of the row), ``weight``: the number of events that
        the row stands for if the values tell, else 1.
    dict
        ``values``: type, unit and column of each value; ``weight``: the column that views sum
        where nothing is said; ``labels``: name, unit and column of what else is known;
        ``period_ns``; and the samples' own facts.

    Raises
    ------
    ImportFormatError
        A column does not fit, or all amounts together do not.
    """
    import pyarrow as pa

    rows = len(samples)
    arrays, fields, labels = _own_columns(samples, start_ns, program)
    arrays.append(pa.array(samples.stack_ids, pa.uint32()))
    fields.append(
        pa.field("stack_id", pa.uint32(), False, _meta("1", "stack, see the table stacks"))
    )
    listing = []
    for value in samples.values:
        used = [each.name for each in fields]
        field, array = _value_column(value, samples.table, used)
        if len(array) != rows:
            raise ImportFormatError(f"There are {len(array)} amounts for {rows} samples.")
        fields.append(field)
        arrays.append(array)
        listing.append({"column": field.name, "type": value.name, "unit": value.unit})
    arrays.append(pa.array(_weight(samples.values, rows)))
    fields.append(arrow_field(DERIVED["weight"]))
    facts = {"labels": labels, **samples.facts}
    facts |= {"values": listing, "weight": _default(samples, listing)}
    if samples.period_ns:
        facts["period_ns"] = samples.period_ns
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields)), facts


def processes_table(tables: Iterable[Any], start_ns: int) -> Any:
    """Return the table ``processes`` as far as samples tell of it, None if they do not.

    Parameters
    ----------
    tables : iterable of pyarrow.Table
        Of :func:`samples_table`.
    start_ns : int
        Time from which the rows hold.
    """
    import polars as pl
    import pyarrow as pa

    seen = []
    for table in tables:
        if "pid" in table.column_names:
            own = "tid" if "tid" in table.column_names else "pid"
            part = table.select(list(dict.fromkeys(["pid", own, "comm"])))
            frame = pl.DataFrame(part)
            seen.append(
                frame.select("pid", pl.col(own).alias("tid"), pl.col("comm").cast(pl.String))
            )
    if not seen:
        return None
    found = pl.concat(seen).drop_nulls().unique(["pid", "tid"], keep="first", maintain_order=True)
    found = found.sort("pid", "tid")
    rows = len(found)
    columns: dict[str, Any] = {
        "ts": [start_ns] * rows,
        "event": ["snapshot"] * rows,
        "ppid": [0] * rows,
        "exit_code": [None] * rows,
        **{name: found[name].to_list() for name in ("pid", "tid", "comm")},
        **{name: [""] * rows for name in ("exe", "cmdline", "cgroup")},
    }
    arrays = [_cast(pa.array(columns[c.name]), arrow_type(c.arrow)) for c in PROCESSES]
    return pa.Table.from_arrays(arrays, schema=arrow_schema(PROCESSES))


def _own_columns(
    samples: Samples, start_ns: int, program: str
) -> tuple[list[Any], list[Any], list[dict[str, str]]]:
    """Return arrays, fields and labels: what is known of each sample besides stack and values."""
    import pyarrow as pa

    first = [name for name in _KNOWN if name in samples.columns or name in ("ts", "comm")]
    given: dict[str, Any] = dict.fromkeys(first) | dict(samples.columns)
    if given["ts"] is None:
        given["ts"] = pa.repeat(pa.scalar(start_ns, pa.int64()), len(samples))
    comm = given["comm"]
    if comm is None:
        comm = pa.repeat(pa.scalar(program, pa.string()), len(samples))
    given["comm"] = _cast(comm, pa.string()).fill_null(program)
    arrays, fields, labels = [], [], []
    for name, values in given.items():
        if name in _KNOWN:
            column = _KNOWN[name]
            array = _cast(values, arrow_type(column.arrow), name)
            field = arrow_field(column)
            field = field.with_nullable(bool(array.null_count))
            fields.append(field)
        else:
            texts = pa.types.is_string(values.type) or pa.types.is_large_string(values.type)
            array = values.cast(pa.string()).dictionary_encode() if texts else values
            used = [each.name for each in fields]
            meta = _meta(samples.units.get(name) or "1", f"{name} of the sample")
            fields.append(pa.field(column_of(name, used, "label"), array.type, metadata=meta))
        arrays.append(array)
        if name in samples.columns:
            unit = samples.units.get(name, "")
            labels.append({"column": fields[-1].name, "name": name, "unit": unit})
    return arrays, fields, labels


def _cast(array: Any, kind: Any, name: str = "") -> Any:
    import pyarrow as pa

    if array.type == kind:
        return array
    if pa.types.is_dictionary(kind):
        plain = array.cast(pa.string()) if not pa.types.is_string(array.type) else array
        return plain.dictionary_encode().cast(kind)
    try:
        return array.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ImportFormatError(
            f"{name or 'A column'} of the samples cannot be {kind}.", why=str(error)[:300]
        ) from error


def _value_column(value: Value, table: str, used: Sequence[str]) -> tuple[Any, Any]:
    """Return the field and the array of a value: in ns and bytes where its unit allows it."""
    import pyarrow as pa

    unit, factor = unit_of(value.unit)
    amounts = np.asarray(value.amounts, np.int64)
    most = float(np.abs(amounts.astype(np.float64)).sum())
    if most >= _MOST:
        raise ImportFormatError(f"All of {value.name[:80]!r} is more than 64 bits hold.")
    if most * factor >= _MOST:
        unit, factor = value.unit, 1  # it would not fit
    name = value.name
    short = identifier(name, "value").removeprefix(f"{table}_")
    durations = _DURATIONS.get(table, ())
    array = pa.array(amounts * factor)
    if short in durations and unit == "ns":
        name, array = short, array.cast(pa.duration("ns"))
    meta = _meta(unit, f"{value.name or 'value'}, sum of the row") | ROW_SUM
    column = column_of(name, used, value.unit or "value")
    return pa.field(column, array.type, nullable=False, metadata=meta), array


def _weight(values: Sequence[Value], rows: int) -> NDArray[np.uint32]:
    """Return the number of events of each row: what counts them, or is the only count."""
    counts = [value for value in values if unit_of(value.unit)[0] == "1"]
    named = [value for value in counts if value.name.lower() in _COUNTS]
    if named or len(counts) == 1:
        amounts = np.asarray((named or counts)[0].amounts, np.int64)
        if len(amounts) and amounts.min() >= 0 and amounts.max() <= _MAX_WEIGHT:
            return amounts.astype(np.uint32)
    return np.ones(rows, np.uint32)


def _default(samples: Samples, listing: Sequence[Mapping[str, str]]) -> str:
    for each in listing:
        if samples.default and each["type"] == samples.default:
            return each["column"]
    return listing[-1]["column"]


def _meta(unit: str, meaning: str) -> dict[str, str]:
    return {"unit": unit[:200], "meaning": meaning[:500]}
