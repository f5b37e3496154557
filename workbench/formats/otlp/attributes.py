"""Attributes: columns of a table as ``KeyValue`` fields.

Texts and numbers that repeat are encoded once for each different value.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.formats.otlp import wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

MAX_TEXT = 2048
"""Characters of a text that are kept: command lines and paths may be long."""
STRING, BOOL, INT, DOUBLE, ARRAY = 1, 2, 3, 4, 5
"""Fields of ``AnyValue``."""
Value = str | int | float | bool | tuple[str, ...]


def any_value(value: Value) -> bytes:
    """Return one ``AnyValue``."""
    if isinstance(value, str):
        return wire.field(STRING, value[:MAX_TEXT])
    if isinstance(value, bool):
        return wire.integer(BOOL, int(value))
    if isinstance(value, int):
        return wire.integer(INT, value)
    if isinstance(value, float):
        return wire.tag(DOUBLE, wire.FIXED64) + np.float64(value).tobytes()
    return wire.field(ARRAY, b"".join(wire.field(1, any_value(item)) for item in value))


def key_values(number: int, values: Mapping[str, Value]) -> bytes:
    """Return the same attributes for all: of a resource, a scope, or every row."""
    return b"".join(
        wire.field(number, wire.field(1, key) + wire.field(2, any_value(value)))
        for key, value in values.items()
    )


def plain_texts(column: Any) -> pa.StringArray:
    """Return texts of any Arrow type as ``string``, cut to :data:`MAX_TEXT`; null where empty."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found = pc.utf8_slice_codeunits(column.cast(pa.string()), 0, MAX_TEXT)
    return pc.if_else(pc.equal(found, ""), None, found)


def coded(column: Any) -> tuple[Any, Any]:
    """Return the different values of a column, and the code of each row (null for null)."""
    import pyarrow as pa

    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    return column.dictionary, column.indices


def texts(number: int, key: str, column: Any) -> pa.BinaryArray:
    """Return a text attribute of each row, null where the text is null or empty.

    Parameters
    ----------
    number : int
        Field of the message that holds attributes.
    key : str
        Name of the attribute.
    column : pyarrow.Array
        Strings, or a dictionary of them.
    """
    import pyarrow as pa

    values, codes = coded(column)
    values = plain_texts(values)
    inner = wire.optional(STRING, values.cast(pa.binary()))
    return wire.repeated(_with_key(number, key, inner), codes)


def numbers(number: int, key: str, column: Any) -> pa.BinaryArray:
    """Return an integer attribute that takes few different values; null where it is null."""
    values, codes = coded(_array(column))
    data = wire.varints(values.to_numpy(zero_copy_only=False))
    inner = wire.join(wire.tag(INT, wire.VARINT), data)
    return wire.repeated(_with_key(number, key, inner), codes)


def addresses(number: int, key: str, column: Any) -> pa.BinaryArray:
    """Return numbers of 64 bits as people write addresses; as integers half are negative."""
    import pyarrow as pa

    values, codes = coded(_array(column))
    named = [hex(each & ((1 << 64) - 1)) for each in values.to_pylist()]
    return texts(number, key, pa.DictionaryArray.from_arrays(codes, pa.array(named, pa.string())))


def counts(number: int, key: str, values: Any) -> pa.BinaryArray:
    """Return an integer attribute that differs from row to row."""
    import pyarrow as pa

    found = wire.bits(values)
    head = wire.field(1, key) + wire.tag(2, wire.DELIMITED)
    prefixes = [
        wire.tag(number, wire.DELIMITED)
        + wire.varint(len(head) + 2 + size)
        + head
        + wire.varint(1 + size)
        + wire.tag(INT, wire.VARINT)
        for size in range(wire.MAX_VARINT + 1)
    ]
    sizes = pa.array(wire.varint_lengths(found))
    return wire.join(pa.array(prefixes, pa.binary()).take(sizes), wire.varints(found))


def doubles(number: int, key: str, values: Any) -> pa.BinaryArray:
    """Return a floating-point attribute of each row."""
    found = np.asarray(values, np.float64)
    inner = wire.join(wire.tag(DOUBLE, wire.FIXED64), wire.block(found))
    return _with_key(number, key, inner)


def _with_key(number: int, key: str, value: pa.BinaryArray) -> pa.BinaryArray:
    """Return ``KeyValue`` fields of a column of ``AnyValue``, null where it is."""
    import pyarrow.compute as pc

    found = wire.message(number, wire.field(1, key), wire.message(2, value))
    return pc.if_else(pc.is_valid(value), found, None) if value.null_count else found


def _array(column: Any) -> Any:
    import pyarrow as pa

    return column if isinstance(column, pa.Array | pa.ChunkedArray) else pa.array(column)


def flags(number: int, key: str, mask: Any) -> pa.BinaryArray:
    """Return an attribute that is true, in the rows of a mask."""
    raw = np.frombuffer(key_values(number, {key: True}), np.uint8)
    return wire.present(wire.block(np.tile(raw, (len(mask), 1))), mask)


def prefixed(prefix: str, column: Any) -> Any:
    """Return texts with something before them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    values, codes = coded(column)
    texts_ = pc.binary_join_element_wise(prefix, values.cast(pa.string()), "")
    return pa.DictionaryArray.from_arrays(codes, texts_)


def split_texts(column: Any, separator: str) -> tuple[Any, Any]:
    """Return what is before the first separator in each text, and what is behind it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    values, codes = coded(column)
    texts_ = values.cast(pa.string())
    at = pc.find_substring(texts_, separator)
    first = pc.replace_substring_regex(texts_, f"(?s){re.escape(separator)}.*", "")
    second = pc.replace_substring_regex(texts_, f"(?s)^.*?{re.escape(separator)}", "")
    second = pc.if_else(pc.less(at, 0), None, second)
    before, behind = (pa.DictionaryArray.from_arrays(codes, each) for each in (first, second))
    return before, behind


def known_address(column: Any) -> Any:
    """Return addresses, null where there is none (``::`` or ``0.0.0.0``)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    texts_ = column.cast(pa.string())
    none = pc.is_in(texts_, value_set=pa.array(["::", "0.0.0.0", ""]))  # noqa: S104
    return pc.if_else(none, None, texts_)


def nonzero(column: Any) -> Any:
    """Return numbers, null for 0."""
    import pyarrow.compute as pc

    return pc.if_else(pc.equal(column, 0), None, column)
