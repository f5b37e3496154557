"""The message Profile as columns, checked: every reference leads somewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.formats.pprof import schema
from workbench.formats.pprof.decode import Fields, damaged, fields
from workbench.formats.pprof.references import (
    Columns,
    check_texts,
    functions_of,
    lines_of,
    locations_of,
    mappings_of,
    rows_of,
)

MAX_STRINGS = 1 << 22


@dataclass(frozen=True)
class Parsed:
    """A profile as columns. Texts are numbers of ``strings``; rows are counted from 0.

    Parameters
    ----------
    strings : pyarrow.Array
        The table of strings.
    types : list of (int, int)
        Name and unit of each value.
    values : numpy.ndarray
        int64, shape (samples, types).
    flat, offsets : numpy.ndarray
        int64: rows of ``locations`` of sample ``i``, leaf first, are
        ``flat[offsets[i]:offsets[i + 1]]``.
    labels : dict
        sample, key, str, num, num_unit: one row a label.
    mappings : dict
        start, limit, offset, file, build_id, functions, files, lines, inlined.
    locations : dict
        mapping (row, -1 for none), address, folded.
    lines : dict
        function (row, -1 for none), line, column.
    line_offsets : numpy.ndarray
        int64, the lines of each location.
    functions : dict
        name, system_name, file, start_line.
    header : dict
        The single numbers of the profile, by the name of their field.
    comments : list of int
    period_type : (int, int)
    """

    strings: Any
    types: list[tuple[int, int]]
    values: NDArray[np.int64]
    flat: NDArray[np.int64]
    offsets: NDArray[np.int64]
    labels: Columns
    mappings: Columns
    locations: Columns
    lines: Columns
    line_offsets: NDArray[np.int64]
    functions: Columns
    header: dict[str, int]
    comments: list[int]
    period_type: tuple[int, int]

    def text(self, number: int) -> str:
        """Return a string of the table."""
        return str(self.strings[number].as_py())


def parse(content: bytes) -> Parsed:
    """Return the columns of a profile.

    Parameters
    ----------
    content : bytes
        The message, not compressed.

    Raises
    ------
    ImportFormatError
        It is no profile: something breaks off, has another type, or leads nowhere.
    """
    data = np.frombuffer(content, np.uint8)
    top = fields(data, np.array([0]), np.array([len(data)]))
    of = schema.Profile
    strings = _strings(content, top)
    count = len(strings)
    types = _messages(top, of.SAMPLE_TYPE)
    functions, function_ids = functions_of(_messages(top, of.FUNCTION), count)
    mappings, mapping_ids = mappings_of(_messages(top, of.MAPPING), count)
    found = _messages(top, of.LOCATION)
    locations, ids = locations_of(found, mapping_ids)
    lines, line_offsets = lines_of(found, function_ids)
    samples = _messages(top, of.SAMPLE)
    flat, offsets = samples.repeated(schema.Sample.LOCATION_ID)
    header = {field.name.lower(): int(top.last(field).view(np.int64)[0]) for field in _SINGLE}
    for name in _TEXTS:
        check_texts(np.array([header[name]]), count)
    comments = top.repeated(of.COMMENT)[0].view(np.int64)
    check_texts(comments, count)
    periods = _messages(top, of.PERIOD_TYPE)
    return Parsed(
        strings,
        _types(types, count),
        _values(samples, types.messages),
        rows_of(ids, flat, "location"),
        offsets,
        _labels(samples, count),
        mappings,
        locations,
        lines,
        line_offsets,
        functions,
        header,
        comments.tolist(),
        (_types(periods, count) or [(0, 0)])[-1],
    )


_TEXTS = ("drop_frames", "keep_frames", "default_sample_type", "doc_url")
_SINGLE = (
    schema.Profile.DROP_FRAMES,
    schema.Profile.KEEP_FRAMES,
    schema.Profile.TIME_NANOS,
    schema.Profile.DURATION_NANOS,
    schema.Profile.PERIOD,
    schema.Profile.DEFAULT_SAMPLE_TYPE,
    schema.Profile.DOC_URL,
)


def _messages(outer: Fields, number: int) -> Fields:
    """Return the fields of the messages in a field."""
    _, starts, ends = outer.spans(number)
    return fields(outer.data, starts, ends)


def _strings(content: bytes, top: Fields) -> Any:
    import pyarrow as pa

    _, starts, ends = top.spans(schema.Profile.STRING_TABLE)
    if not len(starts):
        raise damaged("it has no table of strings")
    if len(starts) > MAX_STRINGS:
        raise damaged(f"it has more than {MAX_STRINGS:,} strings")
    if starts[0] != ends[0]:
        raise damaged("its first string is not empty")
    texts = [content[at:end] for at, end in zip(starts.tolist(), ends.tolist(), strict=True)]
    try:
        return pa.array(texts, pa.large_binary()).cast(pa.large_string())
    except pa.ArrowInvalid:  # no UTF-8
        return pa.array([text.decode(errors="replace") for text in texts], pa.large_string())


def _types(found: Fields, strings: int) -> list[tuple[int, int]]:
    names = found.last(schema.ValueType.TYPE).view(np.int64)
    units = found.last(schema.ValueType.UNIT).view(np.int64)
    check_texts(names, strings)
    check_texts(units, strings)
    return list(zip(names.tolist(), units.tolist(), strict=True))


def _values(samples: Fields, types: int) -> NDArray[np.int64]:
    values, offsets = samples.repeated(schema.Sample.VALUE)
    if not types:
        raise damaged("it does not say what its values are")
    if (np.diff(offsets) != types).any():
        raise damaged(f"a sample has not {types} values, as the profile says")
    return values.view(np.int64).reshape(-1, types)


def _labels(samples: Fields, strings: int) -> Columns:
    of = schema.Label
    owner, starts, ends = samples.spans(schema.Sample.LABEL)
    found = fields(samples.data, starts, ends)
    columns = {"sample": owner} | {
        field.name.lower(): found.last(field).view(np.int64) for field in of
    }
    for name in ("key", "str", "num_unit"):
        check_texts(columns[name], strings)
    return columns
