"""The values of attributes: one of several types, lists and nested attributes among them."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from workbench.formats.otlp.reading.messages import Integers, Messages, damaged
from workbench.formats.otlp.reading.profile_schema import (
    AnyValue,
    ArrayValue,
    Field,
    KeyValue,
    KeyValueList,
)

MAX_DEPTH = 16
"""Lists and attributes that lie within each other."""
_SCALARS = (
    (AnyValue.STRING, "text"),
    (AnyValue.BOOL, "bool"),
    (AnyValue.INT, "int"),
    (AnyValue.DOUBLE, "double"),
    (AnyValue.BYTES, "bytes"),
)


class Strings(Protocol):
    """The strings that values may refer to."""

    def named(self, index: Integers, request: Integers) -> list[str]:
        """Return the string of each index of a request, "" for index 0."""
        ...


def values_of(
    holders: Messages, field: Field, request: Integers, strings: Strings, depth: int = 0
) -> list[Any]:
    """Return the value of each of some messages.

    Parameters
    ----------
    holders : Messages
    field : Field
        Of type ``AnyValue``.
    request : numpy.ndarray
        int64, the request of each message.
    strings : Strings
    depth : int
        How many values these lie within.

    Returns
    -------
    list
        Text, truth value, integer, float, list or dict of such, None where there is none; bytes
        are hex.

    Raises
    ------
    ImportFormatError
        They are damaged, or lie too deep within each other.
    """
    found, owner = holders.children(field)
    made = _values(found, request[owner], strings, depth)
    return of_each(len(holders), made, owner, None)


def pairs_of(
    holders: Messages, field: Field, request: Integers, strings: Strings, depth: int = 0
) -> list[dict[str, Any]]:
    """Return the ``KeyValue`` attributes of each of some messages; those without a key are none.

    Raises
    ------
    ImportFormatError
        As :func:`values_of`.
    """
    found, owner = holders.children(field)
    of_pair = request[owner]
    keys = of_each(len(found), *found.texts(KeyValue.KEY), "")
    named = strings.named(found.numbers(KeyValue.KEY_STRINDEX), of_pair)
    values = values_of(found, KeyValue.VALUE, of_pair, strings, depth)
    result: list[dict[str, Any]] = [{} for _ in range(len(holders))]
    for at, key, other, value in zip(owner.tolist(), keys, named, values, strict=True):
        name = key or other
        if name and value is not None:
            result[at][name] = value
    return result


def of_each(count: int, values: list[Any], owner: Integers, otherwise: Any) -> list[Any]:
    """Return the value of each of `count` messages; the last one counts."""
    result = [otherwise] * count
    for at, value in zip(owner.tolist(), values, strict=True):
        result[at] = value
    return result


def _values(found: Messages, request: Integers, strings: Strings, depth: int) -> list[Any]:
    """Return what ``AnyValue`` messages are."""
    result = _scalars(found, request, strings)
    arrays, of_array = found.children(AnyValue.ARRAY)
    nested, of_nested = found.children(AnyValue.KVLIST)
    if depth == MAX_DEPTH and len(arrays) + len(nested):
        raise damaged(f"attributes lie more than {MAX_DEPTH} deep within each other")
    if len(arrays):
        items, within = arrays.children(ArrayValue.VALUES)
        holder = of_array[within]
        for at in of_array.tolist():
            result[at] = []
        made = _values(items, request[holder], strings, depth + 1)
        for at, item in zip(holder.tolist(), made, strict=True):
            if item is not None:
                result[at].append(item)
    if len(nested):
        pairs = pairs_of(nested, KeyValueList.VALUES, request[of_nested], strings, depth + 1)
        for at, pair in zip(of_nested.tolist(), pairs, strict=True):
            result[at] = pair
    return result


def _scalars(found: Messages, request: Integers, strings: Strings) -> list[Any]:
    result: list[Any] = [None] * len(found)
    for field, kind in _SCALARS:
        values, owner = found.texts(field) if kind == "text" else found.given(field, kind)
        for at, value in zip(owner.tolist(), values, strict=True):
            result[at] = value
    indices, owner = found.given(AnyValue.STRING_STRINDEX, "int")
    named = strings.named(np.array(indices, np.int64), request[owner])
    for at, text in zip(owner.tolist(), named, strict=True):
        result[at] = text
    return result
