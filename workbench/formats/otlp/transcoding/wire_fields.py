"""Where the fields of many messages of one type are, found by the column.

All messages are walked in lockstep, the first field of each, then the second of each, so that
numpy does the work. What is read here are requests that were made by this package or by
protobuf's own classes: anything else is :class:`Irregular`, to be written anew by those first.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.formats.otlp import wire
from workbench.formats.otlp.transcoding.wire_varints import (
    Integers,
    Irregular,
    number_at,
    varints_at,
)

PADDING = bytes(16)
"""What must stand behind the messages: no field is looked for beyond it."""
_FEW = 48
"""Messages that are walked one by one: about as many as a step of numpy takes the time for."""
_WIDTHS = {wire.FIXED64: 8, wire.FIXED32: 4}


@dataclass(frozen=True)
class Found:
    """One field of all messages that have it, in their order.

    Parameters
    ----------
    rows : numpy.ndarray
        int64, the message of each.
    start, end : numpy.ndarray
        int64, where the content is. Of a varint, ``start`` is its value.
    """

    rows: Integers
    start: Integers
    end: Integers


class Walk:
    """The fields of messages.

    Parameters
    ----------
    data : numpy.ndarray
        uint8, all bytes, with :data:`PADDING` behind the last message.
    starts, ends : numpy.ndarray
        int64: message ``i`` is ``data[starts[i]:ends[i]]``.
    keys : container of int
        Number and wire type of the fields that there are.

    Raises
    ------
    Irregular
        There is another field, or one is longer than its message.
    """

    def __init__(
        self, data: NDArray[np.uint8], starts: Integers, ends: Integers, keys: Mapping[int, Any]
    ) -> None:
        self._data = data
        self._keys = keys
        self._count = len(starts)
        self._parts: dict[int, list[tuple[Any, Any, Any]]] = {}
        rows = np.flatnonzero(starts < ends)
        at, end = starts[rows], ends[rows]
        while len(rows) > _FEW:
            at = self._step(rows, at)
            left = at < end
            if not left.all():
                if (at > end).any():
                    raise Irregular
                rows, at, end = rows[left], at[left], end[left]
        if len(rows):
            self._one_by_one(rows, at, end)

    def fields(self) -> Iterator[tuple[int, Found]]:
        """Yield what was found, by key in the order of keys."""
        for key in sorted(self._parts):
            parts = self._parts[key]
            if len(parts) == 1:
                yield key, Found(*parts[0])
                continue
            rows, start, end = (np.concatenate(each) for each in zip(*parts, strict=True))
            small = rows.astype(np.uint16) if self._count <= 1 << 16 else rows
            order = np.argsort(small, kind="stable")  # by radix, where they are small
            yield key, Found(rows[order], start[order], end[order])

    def _step(self, rows: Integers, at: Integers) -> Integers:
        """Take one field of each message; return the places behind them."""
        key, behind = self._key(at)
        lowest, highest = int(key.min()), int(key.max())
        if lowest == highest:
            return self._take(lowest, rows, behind)
        after = np.empty_like(at)
        for each in np.flatnonzero(np.bincount(key)).tolist():
            chosen = np.flatnonzero(key == each)
            after[chosen] = self._take(each, rows[chosen], behind[chosen])
        return after

    def _key(self, at: Integers) -> tuple[NDArray[Any], Integers]:
        key: NDArray[Any] = self._data.take(at)
        if key.max() < 0x80:
            return key, at + 1
        second = self._data.take(at + 1)
        long = key >= 0x80
        if second[long].max() >= 0x80:
            raise Irregular
        wide = np.where(long, key & np.uint8(0x7F) | second.astype(np.int64) << 7, key)
        return wide, at + 1 + long

    def _take(self, key: int, rows: Integers, at: Integers) -> Integers:
        if key not in self._keys:
            raise Irregular
        kind = key & 7
        if kind in _WIDTHS:
            start, end = at, at + _WIDTHS[kind]
            after = end
        else:
            value, after = varints_at(self._data, at)
            start = end = value.view(np.int64)
            if kind == wire.DELIMITED:
                if value.max() > len(self._data):
                    raise Irregular
                start, end = after, after + end
                after = end
        self._parts.setdefault(key, []).append((rows, start, end))
        if after.max() > len(self._data):
            raise Irregular
        return after

    def _one_by_one(self, rows: Integers, at: Integers, end: Integers) -> None:
        """Take all fields of a few messages, whose places are found one after the other."""
        places = array("q")
        counts = []
        for begin, stop in zip(at.tolist(), end.tolist(), strict=True):
            before = len(places)
            _walk(self._data[begin : stop + len(PADDING)].tobytes(), begin, places)
            counts.append(len(places) - before)
        self._step(np.repeat(rows, counts), np.frombuffer(places, np.int64))


def _walk(content: bytes, base: int, places: array[int]) -> None:
    """Note where each field of one message begins; the message ends before the padding."""
    at, stop = 0, len(content) - len(PADDING)
    note = places.append
    while at < stop:
        note(base + at)
        key = content[at]
        at += 1
        if key >= 0x80:
            key, at = number_at(content, at - 1)
        kind = key & 7
        if kind == wire.DELIMITED:
            size = content[at]
            at += 1
            if size >= 0x80:
                more = content[at]
                if more < 0x80:  # nearly always, and a call takes longer than all of this
                    size += (more << 7) - 0x80
                    at += 1
                else:
                    size, at = number_at(content, at - 1)
            at += size
        elif kind == wire.VARINT:
            _, at = number_at(content, at)
        elif kind in _WIDTHS:
            at += _WIDTHS[kind]
        else:
            raise Irregular
    if at > stop:
        raise Irregular
