"""A pprof profile as one that a session can be made of."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from workbench.errors import ImportFormatError
from workbench.formats.pprof.decode import damaged
from workbench.formats.pprof.numbering import number_lists
from workbench.formats.pprof.parse import Parsed, parse
from workbench.formats.pprof.places import PYTHON
from workbench.formats.pprof.samples import samples_of
from workbench.formats.pprof.wire import LENGTH, VARINT
from workbench.profiles.content import HEAD, whole
from workbench.profiles.profile import Profile
from workbench.profiles.tables import MAX_DEPTH, frames_table, stacks_table

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

LIMIT = 1 << 28
"""Bytes of a profile after decompression: a million samples take 30 to 100 million."""
MAX_ENTRIES = 1 << 26
"""Frames of all distinct stacks together."""

_MANY = 1 << 14
"""Mappings and comments: they go into the manifest."""

_LOOKED_AT = 64
"""Fields from which a profile is recognised."""
_MESSAGES = (1, 2, 3, 4, 5, 6, 11, 13)
_NUMBERS = (7, 8, 9, 10, 12, 13, 14, 15)
"""Fields of a profile that have a length, and that are numbers; comments may be both."""

_KERNEL = r"^\[(guest\.)?kernel|(^|/)vmlinu[xz]|\.ko(\.(gz|xz|zst))?$"
_JIT = r"^(\[anon|\[jit|//anon|/memfd:|.*/perf-\d+\.map$)"
_PYTHON = r"(\.pyx?$|^<(frozen |string>|stdin>))"
_HALF = 1 << 63
"""Addresses from here on are the kernel's, on x86-64 and on arm64."""


def read(file: IO[bytes]) -> Profile:
    """Read a profile, compressed or not.

    Raises
    ------
    ImportFormatError
        It is no profile, damaged, or larger than can be read.
    """
    parsed = parse(whole(file, LIMIT))
    frames, frame_offsets = _frames(parsed)
    number, first = number_lists(parsed.flat, parsed.offsets)
    flat, offsets = _expanded(parsed, first, frame_offsets)
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
        length, at = _length(head, at + 1)
        texts = number in _MESSAGES and kind == LENGTH
        if not texts and not (number in _NUMBERS and kind == VARINT):
            return False
        at += length if texts else 0
    return len(head) > 0 and (at <= len(head) or len(head) >= HEAD)


def _length(head: bytes, at: int) -> tuple[int, int]:
    """Return the number at a place, and the place behind it."""
    value = shift = 0
    while at < len(head) and shift < 70:
        value |= (head[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if head[at - 1] < 0x80:
            return value, at
    return 0, len(head) + 1


def _expanded(
    parsed: Parsed, first: NDArray[np.int64], frame_offsets: NDArray[np.int64]
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Return the distinct stacks as frames, and their offsets."""
    starts, ends = parsed.offsets[first], parsed.offsets[first + 1]
    entries = int((ends - starts).sum())
    if entries > MAX_ENTRIES:
        raise _too_many()
    location = parsed.flat[_ranges(starts, ends)]
    begin, stop = frame_offsets[location], frame_offsets[location + 1]
    before = np.concatenate([[0], np.cumsum(stop - begin)])
    offsets = before[np.concatenate([[0], np.cumsum(ends - starts)])]
    if int(offsets[-1]) > MAX_ENTRIES or int(np.diff(offsets).max(initial=0)) > MAX_DEPTH:
        raise _too_many()
    return _ranges(begin, stop).astype(np.uint32), offsets


def _ranges(starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the numbers of all ranges, one after the other."""
    lengths = ends - starts
    before = np.cumsum(lengths) - lengths
    result: NDArray[np.int64] = np.arange(int(lengths.sum())) + np.repeat(starts - before, lengths)
    return result


def _too_many() -> ImportFormatError:
    return ImportFormatError(
        "The profile has more stack frames than can be imported.",
        why=f"At most {MAX_DEPTH:,} a stack and {MAX_ENTRIES:,} in all are.",
    )


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
    return _table(_described(frames)), offsets


def _described(frames: pl.DataFrame) -> pl.DataFrame:
    """Add what a session's frames have: kind, place in the module, and a name for each."""
    import polars as pl

    module, file, address = pl.col("module"), pl.col("file"), pl.col("address")
    nowhere = (pl.col("mapping") == 0) & (address == 0)
    own = (
        pl.when(module.str.contains(_KERNEL) | (address >= _HALF))
        .then(pl.lit("kernel"))
        .when((module == PYTHON) | file.str.contains(_PYTHON))
        .then(pl.lit("python"))
        .when(module.str.contains(_JIT))
        .then(pl.lit("jit"))
        .when(nowhere | (module == "[unknown]"))
        .then(pl.lit("unknown"))
        .otherwise(pl.lit("native"))
    )
    frames = frames.with_columns(
        kind=pl.when("last").then(own).otherwise(pl.lit("inlined")),
        hexadecimal=pl.Series(
            [f"[{each:#x}]" for each in frames["address"].to_list()], dtype=pl.String
        ),
    )
    python = pl.col("kind") == "python"
    absolute = pl.col("kind").is_in(["kernel", "jit"]) | module.str.starts_with("[")
    return frames.with_columns(
        function=pl.when("named").then("function").otherwise("hexadecimal"),
        module=pl.when(python & (module == PYTHON)).then(file).otherwise(module),
        offset=pl.when(absolute).then(address).otherwise(address + pl.col("shift")),
        line=pl.when(pl.col("line").is_between(1, (1 << 32) - 1)).then("line"),
        file=pl.when(file != "").then(file),
    )


def _table(frames: pl.DataFrame) -> Any:
    import pyarrow as pa

    table = frames.to_arrow()
    names = ("function", "file", "line", "module", "build_id", "offset", "kind")
    columns = {name: table[name].combine_chunks() for name in names}
    for name in ("function", "file", "module", "build_id", "kind"):
        columns[name] = columns[name].cast(pa.string())
    columns["kind"] = columns["kind"].dictionary_encode()
    extra = {
        name: table[name].combine_chunks()
        for name in ("address", "mapping", "folded", "named", "start_line", "column")
    }
    extra["system_name"] = table["system_name"].combine_chunks().cast(pa.string())
    return frames_table(columns, extra)


def _texts(parsed: Parsed, table: str, column: str, rows: NDArray[np.int64]) -> Any:
    """Return texts of rows of a table, "" for row -1."""
    import polars as pl
    import pyarrow as pa

    numbers = _numbers(getattr(parsed, table)[column], rows)
    return pl.Series(parsed.strings.take(pa.array(numbers)))


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
    if len(facts["mappings"]) > _MANY or len(facts["comments"]) > _MANY:
        raise damaged(f"it has more than {_MANY:,} mappings or comments")
    return facts
