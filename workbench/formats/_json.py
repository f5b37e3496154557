"""JSON of whole columns: texts are made by polars, not value by value."""

from __future__ import annotations

import json
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import polars as pl

_CHUNK = 1 << 16
"""Values that are made into text at once."""


def dumps(value: Any) -> bytes:
    """Return a small value as JSON, without blanks.

    Lone halves of surrogate pairs, which UTF-8 cannot hold, are escaped.
    """
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "backslashreplace")


def put_array(file: IO[bytes], values: pl.Series) -> None:
    """Write numbers, or texts that are JSON already, as an array; missing ones are ``null``."""
    file.write(b"[")
    put_values(file, values)
    file.write(b"]")


def put_values(file: IO[bytes], values: pl.Series) -> None:
    """Write what stands in an array, see :func:`put_array`."""
    import polars as pl

    for at in range(0, len(values), _CHUNK):
        part = values.slice(at, _CHUNK).cast(pl.String).fill_null("null")
        file.write((b"," if at else b"") + str(part.str.join(",").item()).encode())


def put_table(file: IO[bytes], columns: Mapping[str, pl.Series]) -> None:
    """Write columns as an object of arrays, with their ``length``."""
    file.write(b"{")
    length = 0
    for name, values in columns.items():
        file.write(dumps(name) + b":")
        put_array(file, values)
        length = len(values)
        file.write(b",")
    file.write(b'"length":' + dumps(length) + b"}")


def constant(value: Any, length: int) -> pl.Series:
    """Return a column in which each value is the same, None for ``null``."""
    import polars as pl

    return pl.repeat(dumps(value).decode(), length, dtype=pl.String, eager=True)


def put_rows(file: IO[bytes], rows: pl.DataFrame, separator: bytes) -> bytes:
    """Write each row as an object, after a separator; return the separator of what follows."""
    import polars as pl

    for part in rows.iter_slices(_CHUNK):
        text = part.select(pl.struct(pl.all()).struct.json_encode().str.join(",\n")).item()
        file.write(separator + str(text).encode())
        separator = b",\n"
    return separator


def put_all(file: IO[bytes], items: Iterable[Any], separator: bytes) -> bytes:
    """Write a few values, each after a separator; return the separator of what follows."""
    for item in items:
        file.write(separator + dumps(item))
        separator = b",\n"
    return separator
