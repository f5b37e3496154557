"""Protobuf's wire format, read by the column.

All messages of one type are walked in lockstep: the first field of each, then the second of
each, so that numpy does the work. Where few messages are left (one with very many fields, or the
outermost one) they are walked one by one. Every length is checked against the message that holds
it, so that the time is bounded by the number of bytes.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.errors import ImportFormatError
from workbench.formats.pprof.wire import LENGTH, VARINT

WHAT = "The file is no pprof profile, or a damaged one:"
MAX_FIELDS = 1 << 23
"""Fields of all messages of one type together."""
MAX_NUMBERS = 1 << 26
"""Numbers in the packed fields of one kind together: half a GiB."""

_FEW = 64
"""Messages that are walked one by one: about as many as one step of numpy takes the time for."""
_AT_ONCE = 1 << 22
"""Bytes of packed numbers that are read at once."""
_SIZES = {1: 8, 5: 4}
"""Bytes of the wire types of fixed size."""
_MASK = (1 << 64) - 1


@dataclass(frozen=True)
class Fields:
    """The fields of messages: one entry each, in the order of messages, then of the file.

    Parameters
    ----------
    data : numpy.ndarray
        uint8, all bytes.
    messages : int
        Number of messages.
    owner, number, wire : numpy.ndarray
        int64: message, number and wire type of each field.
    value : numpy.ndarray
        uint64, of numbers.
    start, end : numpy.ndarray
        int64, where the content of a field with a length lies in ``data``.
    """

    data: NDArray[np.uint8]
    messages: int
    owner: NDArray[np.int64]
    number: NDArray[np.int64]
    wire: NDArray[np.int64]
    value: NDArray[np.uint64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]

    def last(self, number: int, otherwise: int = 0) -> NDArray[np.uint64]:
        """Return a number of each message; the last one counts, as in protobuf.

        Raises
        ------
        ImportFormatError
            It is no number.
        """
        chosen = self._of(number, VARINT)
        result = np.full(self.messages, otherwise, np.uint64)
        result[self.owner[chosen]] = self.value[chosen]
        return result

    def spans(self, number: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Return messages, starts and ends of all fields of that number, which have lengths.

        Raises
        ------
        ImportFormatError
            One has none.
        """
        chosen = self._of(number, LENGTH)
        return self.owner[chosen], self.start[chosen], self.end[chosen]

    def repeated(self, number: int) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """Return the numbers of a repeated field, packed or not, and offsets by message.

        Raises
        ------
        ImportFormatError
            They are no numbers.
        """
        chosen = self._of(number, VARINT, LENGTH)
        wire = self.wire[chosen]
        lists = chosen[wire == LENGTH]
        values, ends = unpacked(self.data, self.start[lists], self.end[lists])
        counts = np.ones(len(chosen), np.int64)
        counts[wire == LENGTH] = np.diff(ends)
        by_message = np.zeros(self.messages, np.int64)
        np.add.at(by_message, self.owner[chosen], counts)
        offsets = np.concatenate([[0], np.cumsum(by_message)])
        if len(lists) == len(chosen):
            return values, offsets
        single = np.repeat(wire == VARINT, counts)
        flat = np.empty(len(single), np.uint64)
        flat[~single] = values
        flat[single] = self.value[chosen[wire == VARINT]]
        return flat, offsets

    def _of(self, number: int, *wires: int) -> NDArray[np.int64]:
        chosen = np.flatnonzero(self.number == number)
        if not np.isin(self.wire[chosen], wires).all():
            raise damaged(f"a field {int(number)} has an unexpected type")
        return chosen


def fields(data: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]) -> Fields:
    """Return the fields of messages.

    Parameters
    ----------
    data : numpy.ndarray
        uint8, all bytes.
    starts, ends : numpy.ndarray
        int64: message ``i`` is ``data[starts[i]:ends[i]]``.

    Raises
    ------
    ImportFormatError
        A field is longer than its message, of no known type, or there are too many.
    """
    steps: list[NDArray[Any]] = []
    owner = np.flatnonzero(starts < ends)
    at, end = starts[owner], ends[owner]
    found = 0
    while len(owner) > _FEW:
        key, at = _varint(data, at, end)
        number, wire = (key >> np.uint64(3)).astype(np.int64), (key & np.uint64(7)).astype(np.int64)
        value, after = _contents(data, wire, at, end)
        start = np.where(wire == LENGTH, after - value.astype(np.int64), at)
        steps.append(np.stack([owner, number, wire, value.view(np.int64), start, after]))
        found += len(owner)
        _check_count(found)
        left = after < end
        owner, at, end = owner[left], after[left], end[left]
    for each, begin, stop in zip(owner.tolist(), at.tolist(), end.tolist(), strict=True):
        steps.append(_walk(data, each, begin, stop))
        found += steps[-1].shape[1]
        _check_count(found)
    table = np.concatenate(steps, axis=1) if steps else np.zeros((6, 0), np.int64)
    table = table[:, np.argsort(table[0], kind="stable")]
    own, number, wire, value, start, after = table
    return Fields(data, len(starts), own, number, wire, value.view(np.uint64), start, after)


def unpacked(
    data: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return the numbers in packed fields, and offsets by field.

    Raises
    ------
    ImportFormatError
        A number is longer than 10 bytes, or breaks off.
    """
    firsts, starts, ends = _pieces(data, starts, ends)
    lengths = ends - starts
    before = np.concatenate([[0], np.cumsum(lengths)])
    values, counts = [np.zeros(0, np.uint64)], np.zeros(len(starts), np.int64)
    first = total = 0
    while first < len(starts):
        # As many fields as make a part of bounded size, and at least one.
        last = int(np.searchsorted(before, before[first] + _AT_ONCE, side="right")) - 1
        last = max(first + 1, last)
        part = slice(first, last)
        found, of_each = _unpacked(data, starts[part], lengths[part])
        values.append(found)
        total += len(found)
        if total > MAX_NUMBERS:
            raise ImportFormatError(
                "The profile is too large.", why=f"It has more than {MAX_NUMBERS:,} numbers."
            )
        counts[part] = of_each
        first = last
    ends = np.concatenate([[0], np.cumsum(counts)])
    return np.concatenate(values), ends[np.append(np.flatnonzero(firsts), len(starts))]


def _pieces(
    data: NDArray[np.uint8],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]]:
    """Return packed fields in pieces of bounded size, and which ones begin a field."""
    long = np.flatnonzero(ends - starts > _AT_ONCE)
    if not len(long):
        return np.ones(len(starts), np.bool_), starts, ends
    pieces = []
    for begin, end in zip(starts.tolist(), ends.tolist(), strict=True):
        at, is_first = begin, True
        while end - at > _AT_ONCE:
            # A number has at most 10 bytes; all but its last one have the highest bit.
            stops = np.flatnonzero(data[at + _AT_ONCE - 1 : min(end, at + _AT_ONCE + 9)] < 0x80)
            if not len(stops):
                raise damaged("a number is longer than 10 bytes")
            cut = at + _AT_ONCE + int(stops[0])
            pieces.append((is_first, at, cut))
            at, is_first = cut, False
        if at < end or is_first:
            pieces.append((is_first, at, end))
    table = np.array(pieces, np.int64)
    return table[:, 0] > 0, table[:, 1], table[:, 2]


def _unpacked(
    data: NDArray[np.uint8], starts: NDArray[np.int64], lengths: NDArray[np.int64]
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    ends = np.cumsum(lengths)
    step = np.arange(int(ends[-1])) - np.repeat(ends - lengths, lengths)
    content = data[np.repeat(starts, lengths) + step]
    stops = content < 0x80
    full = lengths > 0
    if not stops[ends[full] - 1].all():
        raise damaged("a number breaks off")
    at = np.flatnonzero(stops)
    begin = np.concatenate([[0], at[:-1] + 1]) if len(at) else at
    length = at - begin + 1
    if len(length) and length.max() > 10:
        raise damaged("a number is longer than 10 bytes")
    values = np.zeros(len(at), np.uint64)
    for place in range(int(length.max(initial=0))):
        more = length > place
        byte = content[begin[more] + place] & np.uint8(0x7F)
        values[more] |= byte.astype(np.uint64) << np.uint64(7 * place)
    before = np.concatenate([[0], np.cumsum(stops)])
    return values, before[ends] - before[ends - lengths]


def _varint(
    data: NDArray[np.uint8], at: NDArray[np.int64], end: NDArray[np.int64]
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return the number that begins at each place, and the place behind it."""
    value = np.zeros(len(at), np.uint64)
    place = at.copy()
    open_ = np.arange(len(at))
    for step in range(10):
        if (place[open_] >= end[open_]).any():
            raise damaged("a number breaks off")
        byte = data[place[open_]]
        value[open_] |= (byte & np.uint8(0x7F)).astype(np.uint64) << np.uint64(7 * step)
        place[open_] += 1
        open_ = open_[byte >= 0x80]
        if not len(open_):
            return value, place
    raise damaged("a number is longer than 10 bytes")


def _contents(
    data: NDArray[np.uint8],
    wire: NDArray[np.int64],
    at: NDArray[np.int64],
    end: NDArray[np.int64],
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return the number or the length of each field, and the place behind its content."""
    value = np.zeros(len(at), np.uint64)
    after = at.copy()
    counted = np.flatnonzero((wire == VARINT) | (wire == LENGTH))
    value[counted], after[counted] = _varint(data, at[counted], end[counted])
    for kind, size in _SIZES.items():
        after[wire == kind] += size
    if not np.isin(wire, (VARINT, LENGTH, *_SIZES)).all():
        raise damaged("a field has an unknown type")
    sized = wire == LENGTH
    if (value[sized] > (end - after)[sized].astype(np.uint64)).any() or (after > end).any():
        raise damaged("a field is longer than what holds it")
    after[sized] += value[sized].astype(np.int64)
    return value, after


def _walk(data: NDArray[np.uint8], owner: int, at: int, end: int) -> NDArray[np.int64]:
    """Return the fields of one message."""
    content = data[at:end].tobytes()
    base, at, end = at, 0, end - at
    found = array("Q")
    try:
        while at < end:
            key = content[at]
            at += 1
            if key >= 0x80:
                key, at = _one(content, at - 1)
            wire = key & 7
            begin, value = at, 0
            if wire in (VARINT, LENGTH):
                value = content[at]
                at += 1
                if value >= 0x80:
                    value, at = _one(content, at - 1)
                if wire == LENGTH:
                    begin, at = at, at + value
            elif wire in _SIZES:
                at += _SIZES[wire]
            else:
                raise damaged("a field has an unknown type")
            if at > end:
                raise damaged("a field is longer than what holds it")
            found.extend((key >> 3, wire, value, base + begin, base + at))
            if len(found) > 5 * MAX_FIELDS:
                _check_count(MAX_FIELDS + 1)
    except IndexError:
        raise damaged("a number breaks off") from None
    table = np.frombuffer(found, np.uint64).view(np.int64).reshape(-1, 5)
    return np.concatenate([np.full((1, len(table)), owner), table.T])


def _one(content: bytes, at: int) -> tuple[int, int]:
    """Return the number at a place, and the place behind it."""
    value = shift = 0
    while shift < 70:
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & _MASK, at
        shift += 7
    raise damaged("a number is longer than 10 bytes")


def _check_count(count: int) -> None:
    if count > MAX_FIELDS:
        raise ImportFormatError(
            "The profile is too large.", why=f"It has more than {MAX_FIELDS:,} parts of one kind."
        )


def damaged(why: str) -> ImportFormatError:
    """Return the error for bytes that are no profile."""
    return ImportFormatError(WHAT, why=f"{why}.")
