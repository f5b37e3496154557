"""Varints read: one, those at many places, and lists of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workbench.formats.otlp import wire

Integers = NDArray[np.int64]


class Irregular(Exception):  # noqa: N818 - no error of the user's
    """Bytes that are no message of the type, or not as protobuf's own classes write it."""


def number_at(content: bytes, at: int) -> tuple[int, int]:
    """Return the number that begins at a place, and the place behind it.

    Raises
    ------
    Irregular
        It has more than 64 bits, or is not complete.
    """
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
