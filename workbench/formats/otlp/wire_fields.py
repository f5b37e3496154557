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

PADDING = bytes(16)
"""What must stand behind the messages: no field is looked for beyond it."""
_FEW = 48
"""Messages that are walked one by one: about as many as a step of numpy takes the time for."""
_WIDTHS = {wire.FIXED64: 8, wire.FIXED32: 4}

Integers = NDArray[np.int64]


class Irregular(Exception):  # noqa: N818 - no error of the user's
    """Bytes that are no message of the type, or not as protobuf's own classes write it."""


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
        found = {key: array("Q") for key in self._keys}
        sizes: dict[int, list[int]] = {key: [] for key in self._keys}
        for begin, stop in zip(at.tolist(), end.tolist(), strict=True):
            _walk(self._data[begin : stop + len(PADDING)].tobytes(), begin, found)
            for key, flat in found.items():
                sizes[key].append(len(flat))
        for key, flat in found.items():
            if flat:
                table = np.frombuffer(flat, np.int64).reshape(-1, 2).T.copy()
                own = np.repeat(rows, np.diff(sizes[key], prepend=0) // 2)
                self._parts.setdefault(key, []).append((own, table[0], table[1]))


def _walk(content: bytes, base: int, found: dict[int, array[int]]) -> None:
    """Note start and end of each field of one message, which ends before the padding."""
    at, stop = 0, len(content) - len(PADDING)
    while at < stop:
        key = content[at]
        at += 1
        if key >= 0x80:
            key, at = _number(content, at - 1)
        noted = found.get(key)
        if noted is None:
            raise Irregular
        kind = key & 7
        if kind in _WIDTHS:
            value = _WIDTHS[kind]
        else:
            value = content[at]
            at += 1
            if value >= 0x80:
                more = content[at]
                if more < 0x80:  # nearly always, and a call takes longer than all of this
                    value += (more << 7) - 0x80
                    at += 1
                else:
                    value, at = _number(content, at - 1)
            if kind == wire.VARINT:
                noted.append(value)
                noted.append(value)
                continue
        if value > stop - at:
            raise Irregular
        noted.append(base + at)
        at += value
        noted.append(base + at)
    if at > stop:
        raise Irregular


def _number(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 64:
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80 and value < 1 << 64:
            return value, at
        shift += 7
        if at == len(content):
            break
    raise Irregular


def varints_at(data: NDArray[np.uint8], at: Integers) -> tuple[NDArray[np.uint64], Integers]:
    """Return the numbers that begin at these places, as uint64, and the places behind them.

    Raises
    ------
    Irregular
        One has more than 64 bits.
    """
    byte = data.take(at)
    if not len(at) or byte.max() < 0x80:
        return byte.astype(np.uint64), at + 1
    value = (byte & np.uint8(0x7F)).astype(np.uint64)
    after = at + 1
    more = np.flatnonzero(byte >= 0x80)
    for place in range(1, wire.MAX_VARINT):
        byte = data.take(after[more], mode="clip")
        value[more] |= (byte & np.uint8(0x7F)).astype(np.uint64) << np.uint64(7 * place)
        after[more] += 1
        if place == wire.MAX_VARINT - 1 and byte.max() > 1:
            raise Irregular
        more = more[byte >= 0x80]
        if not len(more):
            break
    return value, after


def unpacked(data: NDArray[np.uint8], ends: Integers) -> tuple[NDArray[np.uint64], Integers]:
    """Return the numbers in lists of varints, and how many each list has.

    Parameters
    ----------
    data : numpy.ndarray
        uint8, the lists one behind the other.
    ends : numpy.ndarray
        Where each begins, and the end of the last.

    Raises
    ------
    Irregular
        A number goes beyond its list, or has more than 64 bits.
    """
    stops = data < 0x80
    if stops.all():
        return data.astype(np.uint64), np.diff(ends)
    full = ends[1:] > ends[:-1]
    if not stops[ends[1:][full] - 1].all():
        raise Irregular
    begins = np.concatenate([[0], np.flatnonzero(stops)[:-1] + 1])
    values, _ = varints_at(np.concatenate([data, np.zeros(1, np.uint8)]), begins)
    before = np.concatenate([[0], np.cumsum(stops)])
    return values, before[ends[1:]] - before[ends[:-1]]
