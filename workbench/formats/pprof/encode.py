"""The message Profile, written by the column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from workbench.formats.pprof import schema, wire
from workbench.formats.pprof.numbering import Strings

if TYPE_CHECKING:
    import polars as pl

    from workbench.formats.pprof.places import Places
    from workbench.formats.pprof.sample_types import LabelType, SampleType, Valued

_ENTRIES = 1 << 19
"""Frames of stacks that are encoded at once."""
_AT_ONCE = 1 << 17
"""Samples that are encoded at once."""


@dataclass(frozen=True)
class Header:
    """What a profile says of itself.

    Parameters
    ----------
    time_ns, duration_ns : int
        When it was taken, ns UTC, 0 where that is not known, and how long that took.
    comments : tuple of str
    drop_frames, keep_frames : str
        Patterns of functions that are not to be shown, and of those that are nevertheless.
    doc_url : str
    """

    time_ns: int = 0
    duration_ns: int = 0
    comments: tuple[str, ...] = ()
    drop_frames: str = ""
    keep_frames: str = ""
    doc_url: str = ""


def encode(
    file: IO[bytes], header: Header, known: Valued, rows: pl.DataFrame, where: Places
) -> None:
    """Write a profile.

    Parameters
    ----------
    file : binary file
    header : Header
    known : Valued
        What the samples are worth, and which labels they have.
    rows : polars.DataFrame
        Samples: ``stack`` (number of the stack in `where`), the columns of the values and of the
        labels, whose null is no label. Rows that are equal but in their values are to be one.
    where : Places
    """
    strings = Strings()
    for each in known.types:
        file.write(_value_type(schema.Profile.SAMPLE_TYPE, each.name, each.unit, strings))
    _samples(file, known, rows, where, strings)
    _places(file, where, strings)
    _header(file, header, known, strings)
    table = wire.message(schema.Profile.STRING_TABLE, wire.binaries(strings.all()))
    file.write(wire.concatenated(table))


def _value_type(field: int, name: str, unit: str, strings: Strings) -> bytes:
    each = wire.joined(
        wire.numbers(schema.ValueType.TYPE, np.array([strings.of(name)])),
        wire.numbers(schema.ValueType.UNIT, np.array([strings.of(unit)])),
    )
    return wire.concatenated(wire.message(field, each))


def _samples(
    file: IO[bytes], known: Valued, rows: pl.DataFrame, where: Places, strings: Strings
) -> None:
    """Write the samples: stacks and sets of labels are encoded once, and repeated."""
    import pyarrow as pa

    stacks = _stacks(where)
    labels, of_row = _labels(rows, known.labels, strings)
    amounts = _amounts(rows, known.types)
    stack = rows["stack"].to_numpy()
    width = amounts.shape[1]
    for start in range(0, len(rows), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        values = amounts[part]
        ends = np.arange(len(values) + 1, dtype=np.int64) * width
        each = wire.joined(
            stacks.take(pa.array(stack[part])),
            wire.packed(schema.Sample.VALUE, values.reshape(-1), ends),
            labels.take(pa.array(of_row[part])),
        )
        file.write(wire.concatenated(wire.message(schema.Profile.SAMPLE, each)))


def _stacks(where: Places) -> wire.Pieces:
    """Return the encoded stacks; as numbers they take several times as much memory."""
    import pyarrow as pa

    parts: list[wire.Pieces] = []
    offsets, first = where.offsets, 0
    while first < len(offsets) - 1 or not parts:
        # As many stacks as make a part of bounded size, and at least one.
        last = int(np.searchsorted(offsets, offsets[first] + _ENTRIES, side="right")) - 1
        last = min(max(first + 1, last), len(offsets) - 1)
        ends = offsets[first : last + 1]
        flat = where.flat[ends[0] : ends[-1]].astype(np.uint32) + np.uint32(1)
        parts.append(wire.packed(schema.Sample.LOCATION_ID, flat, ends - ends[0]))
        first = last
    return pa.concat_arrays(parts)


def _amounts(rows: pl.DataFrame, types: tuple[SampleType, ...]) -> np.ndarray[Any, Any]:
    """Return the values, shape (rows, types)."""
    columns = [rows[each.column].to_numpy().astype(np.int64) for each in types]
    return np.stack(columns, axis=1) if columns else np.zeros((len(rows), 0), np.int64)


def _labels(
    rows: pl.DataFrame, labels: tuple[LabelType, ...], strings: Strings
) -> tuple[wire.Pieces, np.ndarray[Any, Any]]:
    """Return the encoded sets of labels, and the set of each row."""
    columns = [label.column for label in labels]
    if not columns:
        return wire.binaries([""]), np.zeros(len(rows), np.int64)
    sets = rows.select(columns).unique(maintain_order=True).with_row_index("set")
    joined = rows.select(columns).join(
        sets, on=columns, how="left", nulls_equal=True, maintain_order="left"
    )
    parts = [_label(sets[label.column], label, strings) for label in labels]
    return wire.joined(*parts), joined["set"].to_numpy().astype(np.int64)


def _label(values: pl.Series, label: LabelType, strings: Strings) -> wire.Pieces:
    """Return one label of each set; of a list one for each of its entries."""
    import polars as pl
    import pyarrow as pa

    if isinstance(values.dtype, pl.List):
        counts = values.list.len().fill_null(0)
        flat = values.filter(counts > 0).explode()
    else:
        counts, flat = values.is_not_null(), values.drop_nulls()
    ends = np.concatenate([[0], np.cumsum(counts.cast(pl.Int64).to_numpy())])

    def same(text: str) -> Any:
        return np.full(len(flat), strings.of(text) if len(flat) else 0)

    parts = [wire.numbers(schema.Label.KEY, same(label.key))]
    if isinstance(flat.dtype, pl.String):
        texts = strings.column(flat.to_arrow().cast(pa.string()))
        parts.append(wire.numbers(schema.Label.STR, texts))
    else:
        parts.append(wire.numbers(schema.Label.NUM, flat.cast(pl.Int64).to_numpy()))
        parts.append(wire.numbers(schema.Label.NUM_UNIT, same(label.unit)))
    return wire.grouped(wire.message(schema.Sample.LABEL, wire.joined(*parts)), ends)


def _places(file: IO[bytes], where: Places, strings: Strings) -> None:
    """Write mappings, locations and functions."""
    mappings = where.mappings
    fields = schema.Mapping
    columns = [
        (fields.ID, range(1, len(mappings) + 1)),
        (fields.MEMORY_START, [each.start for each in mappings]),
        (fields.MEMORY_LIMIT, [each.limit for each in mappings]),
        (fields.FILE_OFFSET, [each.offset for each in mappings]),
        (fields.FILENAME, [strings.of(each.file) for each in mappings]),
        (fields.BUILD_ID, [strings.of(each.build_id) for each in mappings]),
        (fields.HAS_FUNCTIONS, [each.functions for each in mappings]),
        (fields.HAS_FILENAMES, [each.files for each in mappings]),
        (fields.HAS_LINE_NUMBERS, [each.lines for each in mappings]),
        (fields.HAS_INLINE_FRAMES, [each.inlined for each in mappings]),
    ]
    parts = [wire.numbers(field, np.array(values, np.uint64)) for field, values in columns]
    _write(file, schema.Profile.MAPPING, parts)
    lines = [
        wire.numbers(schema.Line.FUNCTION_ID, where.lines["function"].to_numpy()),
        wire.numbers(schema.Line.LINE, where.lines["line"].to_numpy()),
        wire.numbers(schema.Line.COLUMN, where.lines["column"].to_numpy()),
    ]
    each = wire.message(schema.Location.LINE, wire.joined(*lines))
    locations = [
        wire.numbers(schema.Location.ID, np.arange(1, len(where.address) + 1)),
        wire.numbers(schema.Location.MAPPING_ID, where.mapping),
        wire.numbers(schema.Location.ADDRESS, where.address),
        wire.grouped(each, where.line_offsets),
        wire.numbers(schema.Location.IS_FOLDED, where.folded.astype(np.int64)),
    ]
    _write(file, schema.Profile.LOCATION, locations)
    _functions(file, where.functions, strings)


def _functions(file: IO[bytes], functions: pl.DataFrame, strings: Strings) -> None:
    fields = schema.Function
    texts = {"name": fields.NAME, "system_name": fields.SYSTEM_NAME, "file": fields.FILENAME}
    parts = [wire.numbers(fields.ID, np.arange(1, len(functions) + 1))]
    for column, field in texts.items():
        parts.append(wire.numbers(field, strings.column(functions[column].to_arrow())))
    start = functions["start_line"].to_numpy().astype(np.int64)
    parts.append(wire.numbers(fields.START_LINE, start))
    _write(file, schema.Profile.FUNCTION, parts)


def _write(file: IO[bytes], field: int, parts: list[wire.Pieces]) -> None:
    file.write(wire.concatenated(wire.message(field, wire.joined(*parts))))


def _header(file: IO[bytes], header: Header, known: Valued, strings: Strings) -> None:
    """Write what the profile says of itself."""
    fields = schema.Profile
    plain = {
        fields.DROP_FRAMES: strings.of(header.drop_frames),
        fields.KEEP_FRAMES: strings.of(header.keep_frames),
        fields.TIME_NANOS: header.time_ns,
        fields.DURATION_NANOS: header.duration_ns,
        fields.DEFAULT_SAMPLE_TYPE: strings.of(known.default),
        fields.DOC_URL: strings.of(header.doc_url),
    }
    if known.period:
        name, unit, plain[fields.PERIOD] = known.period
        file.write(_value_type(fields.PERIOD_TYPE, name, unit, strings))
    for field, value in plain.items():
        file.write(wire.concatenated(wire.numbers(field, np.array([value], np.int64))))
    comments = np.array([strings.of(text) for text in header.comments], np.int64)
    ends = np.array([0, len(comments)], np.int64)
    file.write(wire.concatenated(wire.packed(fields.COMMENT, comments, ends)))
