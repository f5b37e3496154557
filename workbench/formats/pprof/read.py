"""A pprof profile as one that a session can be made of."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from workbench.formats.pprof import legacy
from workbench.formats.pprof.decode import damaged
from workbench.formats.pprof.frames import check_depth, expanded, located
from workbench.formats.pprof.numbering import number_lists
from workbench.formats.pprof.parse import Parsed, parse
from workbench.formats.pprof.places import EXTRA
from workbench.formats.pprof.samples import samples_of
from workbench.formats.pprof.wire import LENGTH, VARINT
from workbench.profiles.content import HEAD, whole
from workbench.profiles.profile import Profile
from workbench.profiles.tables import stacks_table
from workbench.profiles.text_columns import taken

if TYPE_CHECKING:
    from numpy.typing import NDArray

LIMIT = 1 << 28
"""Bytes of a profile after decompression: a million samples take 30 to 100 million."""

_MANY = 1 << 14
"""Mappings and comments: they go into the manifest."""

_LOOKED_AT = 64
"""Fields from which a profile is recognised."""
_MESSAGES = (1, 2, 3, 4, 5, 6, 11, 13)
_NUMBERS = (7, 8, 9, 10, 12, 13, 14, 15)
"""Fields of a profile that have a length, and that are numbers; comments may be both."""


def read(file: IO[bytes]) -> Profile:
    """Read a profile, compressed or not, or one of the kinds that were before it.

    Raises
    ------
    ImportFormatError
        It is no profile, damaged, or larger than can be read.
    """
    content = whole(file, LIMIT)
    parsed = legacy.parse(content) if legacy.recognised(content[:HEAD]) else parse(content)
    check_depth(parsed.offsets)
    frames, frame_offsets = _frames(parsed)
    number, first = number_lists(parsed.flat, parsed.offsets)
    flat, offsets = expanded(parsed.flat, parsed.offsets, first, frame_offsets)
    start = parsed.header["time_nanos"]
    return Profile(
        frames,
        stacks_table(flat, offsets),
        (samples_of(parsed, number.astype(np.uint32)),),
        program=_program(parsed),
        start_ns=start if start > 0 else None,
        duration_ns=max(0, parsed.header["duration_nanos"]),
        facts=_facts(parsed),
    )


def recognise(head: bytes) -> float:
    """Return how likely bytes begin a profile: it mostly begins with what its values are."""
    if legacy.recognised(head):
        return 0.95
    if head[:1] == b"\x0a" and len(head) > 2:
        inner = head[2 : 2 + head[1]]
        # ValueType: fields 1 and 2, numbers; a message of at most a few bytes.
        if len(inner) == head[1] and 0 < len(inner) <= 12 and inner[:1] in (b"\x08", b"\x10"):
            return 0.9
    return 0.2 if _begins(head) else 0.0


def _begins(head: bytes) -> bool:
    """Return whether bytes begin with fields of the types that a profile's fields have."""
    at = 0
    for _ in range(_LOOKED_AT):
        if at >= len(head):
            break
        number, kind = head[at] >> 3, head[at] & 7
        length, at = number_at(head, at + 1)
        texts = number in _MESSAGES and kind == LENGTH
        if not texts and not (number in _NUMBERS and kind == VARINT):
            return False
        at += length if texts else 0
    return len(head) > 0 and (at <= len(head) or len(head) >= HEAD)


def number_at(head: bytes, at: int) -> tuple[int, int]:
    """Return the varint at a place, and the place behind it: behind all where it breaks off."""
    value = shift = 0
    while at < len(head) and shift < 70:
        value |= (head[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if head[at - 1] < 0x80:
            return value, at
    return 0, len(head) + 1


def _frames(parsed: Parsed) -> tuple[Any, NDArray[np.int64]]:
    """Return the table of frames, and which ones are those of each location.

    A location without a line has one frame, which is called by its address.
    """
    import polars as pl

    counts = np.diff(parsed.line_offsets)
    per_location = np.maximum(counts, 1)
    offsets = np.concatenate([[0], np.cumsum(per_location)])
    location = np.repeat(np.arange(len(counts)), per_location)
    named = counts[location] > 0
    lines = {name: np.zeros(len(location), np.int64) for name in parsed.lines}
    lines["function"] -= 1
    for name, column in parsed.lines.items():
        lines[name][named] = column
    mapping = parsed.locations["mapping"][location]
    last = np.arange(len(location)) == offsets[location + 1] - 1
    frames = pl.DataFrame(
        {
            "address": parsed.locations["address"][location],
            "mapping": (mapping + 1).astype(np.uint32),
            "folded": parsed.locations["folded"][location],
            "named": named,
            "last": last,
            "function": _texts(parsed, "functions", "name", lines["function"]),
            "system_name": _texts(parsed, "functions", "system_name", lines["function"]),
            "file": _texts(parsed, "functions", "file", lines["function"]),
            "start_line": _numbers(parsed.functions["start_line"], lines["function"]),
            "line": lines["line"],
            "column": lines["column"],
            "module": _texts(parsed, "mappings", "file", mapping),
            "build_id": _texts(parsed, "mappings", "build_id", mapping),
            "shift": _numbers(parsed.mappings["offset"], mapping)
            - _numbers(parsed.mappings["start"], mapping),  # wraps, as addresses do
        }
    )
    return located(frames, EXTRA), offsets


def _texts(parsed: Parsed, table: str, column: str, rows: NDArray[np.int64]) -> Any:
    """Return texts of rows of a table, "" for row -1."""
    import polars as pl

    return pl.Series(taken(parsed.strings, _numbers(getattr(parsed, table)[column], rows)))


def _numbers(column: NDArray[Any], rows: NDArray[np.int64]) -> NDArray[Any]:
    """Return numbers of rows of a column, 0 for row -1."""
    result: NDArray[Any] = np.append(column, column.dtype.type(0))[rows]
    return result


def _program(parsed: Parsed) -> str:
    """Return the name of the program: the first mapping is its."""
    for number in parsed.mappings["file"].tolist():
        text = parsed.text(number)
        if text and not text.startswith("["):
            return PurePosixPath(text).name
    return ""


def _facts(parsed: Parsed) -> dict[str, Any]:
    if len(parsed.mappings["file"]) > _MANY or len(parsed.comments) > _MANY:
        raise damaged(f"it has more than {_MANY:,} mappings or comments")
    columns = []
    for name, values in parsed.mappings.items():
        listed = values.tolist()
        texts = name in ("file", "build_id")
        columns.append([parsed.text(each) for each in listed] if texts else listed)
    named = ("drop_frames", "keep_frames", "doc_url")
    said = {name: parsed.text(parsed.header[name]) for name in named}
    facts: dict[str, Any] = {name: text for name, text in said.items() if text}
    facts["comments"] = [parsed.text(each) for each in parsed.comments]
    facts["mappings"] = [list(row) for row in zip(*columns, strict=True)]
    return facts
