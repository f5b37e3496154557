"""Messages in OTLP JSON, as columns: see :class:`workbench.formats.otlp.reading.messages.Messages`.

The rules are those of *JSON Protobuf Encoding* in the OTLP specification: names in
lowerCamelCase, integers as numbers or decimal strings, ids in hex, other bytes in base64.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from itertools import chain
from typing import Any

import numpy as np

from workbench.formats.otlp.reading.messages import Integers, damaged
from workbench.formats.otlp.reading.profile_schema import Field

_FLOATS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
_HALF, _ALL = 1 << 63, 1 << 64


class JsonMessages:
    """Messages in JSON.

    Parameters
    ----------
    rows : list of dict
        Objects as :mod:`json` makes them.
    """

    def __init__(self, rows: list[Any]) -> None:
        if not all(type(row) is dict for row in rows):
            raise damaged("what is to be an object is none")
        self._rows = rows

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._rows)

    def children(self, field: Field) -> tuple[JsonMessages, Integers]:
        """See :class:`~workbench.formats.otlp.reading.messages.Messages`."""
        found, owner = self._found(field)
        return JsonMessages(found), owner

    def numbers(self, field: Field) -> Integers:
        """See :class:`~workbench.formats.otlp.reading.messages.Messages`."""
        name = field.json
        return _integers([row.get(name, 0) for row in self._rows], name)

    def times(self, field: Field) -> Integers:
        """See :class:`~workbench.formats.otlp.reading.messages.Messages`."""
        return self.numbers(field)

    def number_lists(self, field: Field) -> tuple[Integers, Integers]:
        """See :class:`~workbench.formats.otlp.reading.messages.Messages`."""
        given = [row.get(field.json) for row in self._rows]
        lists = [[] if each is None else each for each in given]
        if not all(type(each) is list for each in lists):
            raise damaged(f"{field.json} is no list")
        counts = np.fromiter(map(len, lists), np.int64, len(lists))
        flat = _integers(list(chain.from_iterable(lists)), field.json)
        return flat, np.concatenate([[0], np.cumsum(counts)])

    def time_lists(self, field: Field) -> tuple[Integers, Integers]:
        """See :class:`~workbench.formats.otlp.reading.messages.Messages`."""
        return self.number_lists(field)

    def texts(self, field: Field) -> tuple[list[str], Integers]:
        """See :class:`~workbench.formats.otlp.reading.messages.Messages`."""
        found, owner = self._found(field)
        if not all(type(each) is str for each in found):
            raise damaged(f"{field.json} is no text")
        # JSON can say half a surrogate pair, which is no text.
        return [each.encode("utf-8", "replace").decode() for each in found], owner

    def given(self, field: Field, kind: str) -> tuple[list[Any], Integers]:
        """See :class:`~workbench.formats.otlp.reading.messages.Messages`."""
        found, owner = self._found(field)
        if kind == "int":
            return _integers(found, field.json).tolist(), owner
        read = {"bool": _bool, "double": _float, "bytes": _bytes, "id": _id}[kind]
        return [read(each) for each in found], owner

    def _found(self, field: Field) -> tuple[list[Any], Integers]:
        """Return the values of a field, repeated or not, and which message holds each."""
        name = field.json
        values = [row.get(name) for row in self._rows]
        if list in set(map(type, values)):
            lists = [v if type(v) is list else [] if v is None else [v] for v in values]
            counts = np.fromiter(map(len, lists), np.int64, len(lists))
            return list(chain.from_iterable(lists)), np.repeat(np.arange(len(lists)), counts)
        there = [place for place, value in enumerate(values) if value is not None]
        return [values[place] for place in there], np.array(there, np.int64)


def _integers(values: list[Any], name: str) -> Integers:
    """Return integers of 64 bits; unsigned ones wrap."""
    kinds = set(map(type, values))
    if not kinds <= {int, str, float, type(None)}:
        raise damaged(f"{name} is no number")
    try:
        if float in kinds or type(None) in kinds:
            values = [_whole(each) for each in values]
        if str in kinds:
            values = list(map(int, values))
        return np.array(values, np.int64)
    except ValueError:
        raise damaged(f"{name} is no whole number") from None
    except OverflowError:
        pass
    if any(not -_HALF <= each < _ALL for each in values):
        raise damaged(f"{name} is larger than 64 bits hold")
    return np.array([each & (_ALL - 1) for each in values], np.uint64).view(np.int64)


def _whole(value: Any) -> Any:
    if type(value) is float:
        if not value.is_integer():  # NaN and infinity are none, either
            raise ValueError
        return int(value)
    return 0 if value is None else value


def _bool(value: Any) -> bool:
    if type(value) is not bool:
        raise damaged("a truth value is neither true nor false")
    return value


def _float(value: Any) -> float:
    if type(value) is str and value in _FLOATS:
        return _FLOATS[value]
    try:
        if type(value) in (int, float, str):
            return float(value)
    except (ValueError, OverflowError):
        pass
    raise damaged("a number is none")


def _bytes(value: Any) -> str:
    try:
        text = value.replace("-", "+").replace("_", "/")
        return b64decode(text + "=" * (-len(text) % 4), validate=True).hex()
    except (AttributeError, binascii.Error, ValueError):
        raise damaged("bytes are not in base64") from None


def _id(value: Any) -> str:
    try:
        return bytes.fromhex(value).hex()
    except (TypeError, ValueError):
        raise damaged("an id is not in hex") from None
