"""Functions, mappings, locations and lines of a profile: every reference leads somewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.formats.pprof import schema
from workbench.formats.pprof.decode import Fields, damaged, fields

Columns = dict[str, NDArray[Any]]
_AT_ONCE = 1 << 20
"""Ids that are looked up at once: there may be very many."""


def functions_of(found: Fields, strings: int) -> tuple[Columns, NDArray[np.uint64]]:
    """Return the functions, with texts as numbers of strings, and their ids.

    Raises
    ------
    ImportFormatError
        One leads nowhere.
    """
    of = schema.Function
    columns = {
        "name": found.last(of.NAME).view(np.int64),
        "system_name": found.last(of.SYSTEM_NAME).view(np.int64),
        "file": found.last(of.FILENAME).view(np.int64),
        "start_line": found.last(of.START_LINE).view(np.int64),
    }
    for name in ("name", "system_name", "file"):
        check_texts(columns[name], strings)
    return columns, _ids(found.last(of.ID), "function")


def mappings_of(found: Fields, strings: int) -> tuple[Columns, NDArray[np.uint64]]:
    """Return the mappings, with texts as numbers of strings, and their ids.

    Raises
    ------
    ImportFormatError
        One leads nowhere.
    """
    of = schema.Mapping
    columns: Columns = {
        "start": found.last(of.MEMORY_START),
        "limit": found.last(of.MEMORY_LIMIT),
        "offset": found.last(of.FILE_OFFSET),
        "file": found.last(of.FILENAME).view(np.int64),
        "build_id": found.last(of.BUILD_ID).view(np.int64),
        "functions": found.last(of.HAS_FUNCTIONS) != 0,
        "files": found.last(of.HAS_FILENAMES) != 0,
        "lines": found.last(of.HAS_LINE_NUMBERS) != 0,
        "inlined": found.last(of.HAS_INLINE_FRAMES) != 0,
    }
    for name in ("file", "build_id"):
        check_texts(columns[name], strings)
    return columns, _ids(found.last(of.ID), "mapping")


def locations_of(
    found: Fields, mapping_ids: NDArray[np.uint64]
) -> tuple[Columns, NDArray[np.uint64]]:
    """Return the locations, with their mapping as row, and their ids.

    Raises
    ------
    ImportFormatError
        One leads nowhere.
    """
    of = schema.Location
    columns: Columns = {
        "mapping": rows_of(mapping_ids, found.last(of.MAPPING_ID), "mapping", optional=True),
        "address": found.last(of.ADDRESS),
        "folded": found.last(of.IS_FOLDED) != 0,
    }
    return columns, _ids(found.last(of.ID), "location")


def lines_of(found: Fields, function_ids: NDArray[np.uint64]) -> tuple[Columns, NDArray[np.int64]]:
    """Return the lines, with their function as row, and their offsets by location.

    Raises
    ------
    ImportFormatError
        One leads nowhere.
    """
    of = schema.Line
    owner, starts, ends = found.spans(schema.Location.LINE)
    lines = fields(found.data, starts, ends)
    columns = {
        "function": rows_of(function_ids, lines.last(of.FUNCTION_ID), "function", optional=True),
        "line": lines.last(of.LINE).view(np.int64),
        "column": lines.last(of.COLUMN).view(np.int64),
    }
    counts = np.bincount(owner, minlength=found.messages)
    return columns, np.concatenate([[0], np.cumsum(counts)])


def _ids(ids: NDArray[np.uint64], what: str) -> NDArray[np.uint64]:
    """Check that every message of a kind has an id of its own."""
    if not ids.all():
        raise damaged(f"a {what} has the id 0")
    if not (ids[1:] > ids[:-1]).all() and len(np.unique(ids)) != len(ids):
        raise damaged(f"two {what}s have the same id")
    return ids


def rows_of(
    ids: NDArray[np.uint64], wanted: NDArray[np.uint64], what: str, *, optional: bool = False
) -> NDArray[np.int64]:
    """Return the row of each id; -1 for 0 where it is `optional`.

    Raises
    ------
    ImportFormatError
        There is no such id.
    """
    as_most = bool((ids == np.arange(1, len(ids) + 1, dtype=np.uint64)).all())
    order = None if as_most else np.argsort(ids)
    rows = np.empty(len(wanted), np.int64)
    for first in range(0, len(wanted), _AT_ONCE):
        part = wanted[first : first + _AT_ONCE]
        row = _rows(ids, order, part)
        missing = row < 0
        if optional:
            missing &= part != 0
        if missing.any():
            raise damaged(f"there is no {what} with the id {part[missing][0]}")
        rows[first : first + _AT_ONCE] = row
    return rows


def _rows(
    ids: NDArray[np.uint64], order: NDArray[np.int64] | None, wanted: NDArray[np.uint64]
) -> NDArray[np.int64]:
    """Return the row of each id, -1 where there is none; without `order` they count from 1."""
    if order is None:
        row = (wanted - np.uint64(1)).view(np.int64)
        return np.where((row >= 0) & (row < len(ids)), row, -1)
    place = np.minimum(np.searchsorted(ids, wanted, sorter=order), len(ids) - 1)
    row = order[place]
    return np.where(ids[row] == wanted, row, -1)


def check_texts(numbers: NDArray[np.int64], strings: int) -> None:
    """Check that numbers are those of strings.

    Raises
    ------
    ImportFormatError
        One leads nowhere.
    """
    if len(numbers) and not (numbers.min() >= 0 and numbers.max() < strings):
        raise damaged("a text is not in the table of strings")
