"""The stacks of some requests of profiles as frames of a session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.formats.otlp.reading.messages import Integers
from workbench.formats.otlp.reading.read_dictionary import Dictionaries
from workbench.formats.pprof.frames import expanded

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

FRAME_TYPE = "profile.frame.type"
KINDS = {
    "kernel": "kernel",
    "native": "native",
    "go": "native",
    "rust": "native",
    "cpython": "python",
    "jvm": "jit",
    "dotnet": "jit",
    "v8js": "jit",
    "beam": "jit",
}
"""Kinds of frames by ``profile.frame.type`` of the semantic conventions; ``unknown`` for others."""
BUILD_IDS = tuple(f"process.executable.build_id.{kind}" for kind in ("gnu", "go", "htlhash"))
"""Attributes of mappings, the best first."""


def frames(found: Dictionaries) -> tuple[pl.DataFrame, Integers]:
    """Return the rows for :func:`workbench.formats.pprof.frames.located`, and offsets by location.

    A location without a line has one row. Of code that was made at run time addresses lead into no
    file; all other addresses become offsets in the file of their mapping.
    """
    import polars as pl

    counts = np.diff(found.line_offsets)
    per_location = np.maximum(counts, 1)
    offsets = np.concatenate([[0], np.cumsum(per_location)])
    location = np.repeat(np.arange(len(counts)), per_location)
    has_line = counts[location] > 0
    line = {name: np.full(len(location), -1, np.int64) for name in found.lines}
    for name, column in found.lines.items():
        line[name][has_line] = column
    function, mapping = line["function"], found.locations["mapping"][location]
    start, offset = (_numbers(found.mappings[name], mapping) for name in ("start", "offset"))

    def named(column: str) -> Any:
        return pl.Series(found.texts(_rows(found.functions[column], function)), dtype=pl.String)

    build_ids = _told(found, found.mapping_attributes, len(found.mappings["file"]), BUILD_IDS)
    types = _told(found, found.location_attributes, len(counts), (FRAME_TYPE,))
    kinds = [KINDS.get(each, "unknown") if each else "" for each in types]
    rows = pl.DataFrame(
        {
            "address": found.locations["address"][location],
            "mapping": (mapping >= 0).astype(np.uint32),
            "named": has_line & (_rows(found.functions["name"], function) >= 0),
            "last": np.arange(len(location)) == offsets[location + 1] - 1,
            "function": named("name"),
            "system_name": named("system_name"),
            "file": named("file"),
            "start_line": _numbers(found.functions["start_line"], function),
            "line": line["line"],
            "column": np.maximum(line["column"], 0),
            "module": pl.Series(
                found.texts(_rows(found.mappings["file"], mapping)), dtype=pl.String
            ),
            "build_id": pl.Series([*build_ids, ""], dtype=pl.String).gather(
                np.where(mapping >= 0, mapping, len(build_ids))
            ),
            "shift": offset - start,  # wraps, as addresses do
            "told": pl.Series(kinds, dtype=pl.String).gather(location),
        }
    )
    return rows, offsets


def stacks(
    found: Dictionaries, used: Integers, frame_offsets: Integers
) -> tuple[NDArray[np.uint32], Integers]:
    """Return some stacks as rows of :func:`frames`, and their offsets.

    Parameters
    ----------
    found : Dictionaries
    used : numpy.ndarray
        int64, rows of the table of stacks; -1 for a stack without frames.
    frame_offsets : numpy.ndarray
        Of :func:`frames`.

    Raises
    ------
    ImportFormatError
        There are more frames than a session holds.
    """
    offsets = np.append(found.stack_offsets, found.stack_offsets[-1])  # an empty one, for -1
    chosen = np.where(used >= 0, used, len(offsets) - 2)
    return expanded(found.stack_locations, offsets, chosen, frame_offsets)


def _rows(column: Integers, rows: Integers) -> Integers:
    """Return rows of a column, -1 for row -1."""
    result: Integers = np.append(column, -1)[rows]
    return result


def _numbers(column: NDArray[Any], rows: Integers) -> NDArray[Any]:
    """Return numbers of a column, 0 for row -1."""
    result: NDArray[Any] = np.append(column, column.dtype.type(0))[rows]
    return result


def _told(
    found: Dictionaries, attributes: tuple[Integers, Integers], count: int, keys: tuple[str, ...]
) -> list[str]:
    """Return a text that each of `count` entries has as attribute, "" where it has none."""
    flat, owner = attributes
    result = [""] * count
    for key in reversed(keys):
        chosen = found.key_rows(key)[flat]
        for at, row in zip(owner[chosen].tolist(), flat[chosen].tolist(), strict=True):
            value = found.values[row]
            result[at] = value if isinstance(value, str) else result[at]
    return result
