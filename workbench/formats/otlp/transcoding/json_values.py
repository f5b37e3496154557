"""Texts, numbers and bytes as JSON, by the column: no value is ever a Python object.

What JSON has in quotes is returned without them. Columns are ``pyarrow.BinaryArray``.
"""

from __future__ import annotations

import binascii
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from workbench.formats.otlp import wire
from workbench.formats.otlp.transcoding.wire_varints import Irregular

if TYPE_CHECKING:
    import pyarrow as pa

_PROBED = 256
"""Rows that tell whether a column repeats itself."""
_NUMBERED = 1 << 14
"""Numbers below it are not written anew."""
_ESCAPES = {0x08: "\\b", 0x09: "\\t", 0x0A: "\\n", 0x0C: "\\f", 0x0D: "\\r", 0x22: '\\"'}
"""RFC 8259, section 7; other characters below U+0020 are given by their number."""
_BACKSLASH = 0x5C


def different(column: pa.BinaryArray) -> tuple[pa.BinaryArray, Any]:
    """Return the different values of a column and which of them each row has.

    Where the first rows do not repeat themselves, this is the column and None.
    """
    first = column.slice(0, _PROBED)
    if len(column) <= _PROBED or 2 * len(first.dictionary_encode().dictionary) > _PROBED:
        return column, None
    coded = column.dictionary_encode()
    return coded.dictionary, coded.indices


def texts(column: pa.BinaryArray) -> pa.BinaryArray:
    """Return texts as they stand between quotes.

    Raises
    ------
    Irregular
        One is not in UTF-8.
    """
    values, codes = different(column)
    escaped = _escaped(values)
    return escaped if codes is None else wire.repeated(escaped, codes)


def _escaped(column: pa.BinaryArray) -> pa.BinaryArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    offsets, data = wire.buffers(column)
    used = data[int(offsets[0]) : int(offsets[-1])]
    special = (used < 0x20) | (used == 0x22) | (used == _BACKSLASH)
    found = set(np.flatnonzero(np.bincount(used[special], minlength=1)).tolist())
    try:
        text = column.cast(pa.string())
    except pa.ArrowInvalid:
        raise Irregular from None
    if _BACKSLASH in found:  # first, as the others are said with it
        text = pc.replace_substring(text, "\\", "\\\\")
    for code in sorted(found - {_BACKSLASH}):
        said = _ESCAPES.get(code, f"\\u{code:04x}")
        text = pc.replace_substring(text, chr(code), said)
    return text.cast(pa.binary())


def decimals(values: NDArray[Any], quote: bytes = b"") -> list[wire.Part]:
    """Return integers, of any type of numpy, in decimal with a comma, in parts of a column.

    Parameters
    ----------
    values : numpy.ndarray
    quote : bytes
        What is written before and behind each.
    """
    import pyarrow as pa

    if len(values) > _PROBED and values.min() >= 0 and values.max() < _NUMBERED:
        return [_small_decimals(quote).take(pa.array(values))]
    return [quote, pa.array(values).cast(pa.string()).cast(pa.binary()), quote + b","]


@lru_cache(maxsize=2)
def _small_decimals(quote: bytes) -> pa.BinaryArray:
    import pyarrow as pa

    numbers = pa.array(np.arange(_NUMBERED)).cast(pa.string()).cast(pa.binary())
    return wire.join(quote, numbers, quote + b",")


def truths(values: NDArray[np.bool_]) -> pa.BinaryArray:
    """Return ``true`` or ``false``."""
    import pyarrow as pa

    return pa.array([b"false", b"true"], pa.binary()).take(pa.array(values.astype(np.int8)))


def floats(values: NDArray[np.float64]) -> pa.BinaryArray:
    """Return numbers in the fewest digits that tell them from all others.

    What JSON has no number for is one of the three words of protobuf's mapping, in quotes.
    """
    import polars as pl
    import pyarrow as pa
    import pyarrow.compute as pc

    text = pl.Series(values).cast(pl.String).to_arrow(compat_level=pl.CompatLevel.oldest())
    found = text.cast(pa.binary())
    if np.isfinite(values).all():
        return found
    words = np.select([np.isnan(values), values == np.inf, values == -np.inf], [0, 1, 2], 3)
    said = pa.array([b'"NaN"', b'"Infinity"', b'"-Infinity"', None], pa.binary())
    return pc.coalesce(said.take(pa.array(words)), found)


def hexadecimal(column: pa.BinaryArray) -> pa.BinaryArray:
    """Return bytes in hex."""
    offsets, data = wire.buffers(column)
    raw = binascii.hexlify(data[int(offsets[0]) : int(offsets[-1])].data)
    return wire.column((offsets - offsets[0]) * 2, np.frombuffer(raw, np.uint8))


def base64(column: pa.BinaryArray) -> pa.BinaryArray:
    """Return bytes in base64 (RFC 4648, section 4), padded."""
    import pyarrow as pa

    sizes = np.asarray(wire.lengths(column)).astype(np.int64)
    lacking = -sizes % 3
    # Each row is filled up to whole groups, so that one call does for all.
    filling = pa.array([b"", b"\0", b"\0\0"], pa.binary()).take(pa.array(lacking))
    offsets, data = wire.buffers(wire.join(column, filling))
    raw = np.frombuffer(binascii.b2a_base64(data.tobytes(), newline=False), np.uint8).copy()
    ends = offsets.astype(np.int64) // 3 * 4
    for missing in (1, 2):
        raw[ends[1:][lacking >= missing] - missing] = ord("=")
    return wire.column(ends, raw)
