"""Messages of one type as columns, whether they come as protobuf or as JSON.

Readers of OTLP ask for the fields of all messages of a type at once, so that they are written
once for both, and numpy does the work.
"""

from __future__ import annotations

from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from workbench.errors import ImportFormatError
from workbench.formats.otlp.reading.profile_schema import Field
from workbench.formats.pprof.decode import Fields, fields
from workbench.formats.pprof.wire import LENGTH, VARINT

Integers = NDArray[np.int64]

_FIXED64 = 1
"""Wire type of numbers that always take 8 bytes."""
MAX_EIGHTS = 1 << 25
"""Numbers of 8 bytes of one field."""


class Messages(Protocol):
    """Messages of one type; all errors are ImportFormatErrors."""

    def __len__(self) -> int:
        """Return how many there are."""
        ...

    def children(self, field: Field) -> tuple[Self, Integers]:
        """Return the messages in a field, repeated or not, and which message holds each."""
        ...

    def numbers(self, field: Field) -> Integers:
        """Return an integer of each message, 0 where it has none; unsigned ones wrap."""
        ...

    def times(self, field: Field) -> Integers:
        """Return a fixed64 of each message, 0 where it has none."""
        ...

    def number_lists(self, field: Field) -> tuple[Integers, Integers]:
        """Return the integers of a repeated field, and offsets by message."""
        ...

    def time_lists(self, field: Field) -> tuple[Integers, Integers]:
        """Return the fixed64 of a repeated field, and offsets by message."""
        ...

    def texts(self, field: Field) -> tuple[list[str], Integers]:
        """Return the texts of a field, repeated or not, and which message holds each."""
        ...

    def given(self, field: Field, kind: str) -> tuple[list[Any], Integers]:
        """Return values that were set, and which message holds each.

        Parameters
        ----------
        field : Field
        kind : str
            ``int``, ``bool``, ``double``, ``bytes`` (given as hex) or ``id`` (bytes that are hex
            in JSON, too).
        """
        ...


def damaged(why: str) -> ImportFormatError:
    """Return the error for what is no OTLP, or damaged."""
    return ImportFormatError("The file holds no OTLP profiles, or damaged ones:", why=f"{why}.")


class WireMessages:
    """Messages in protobuf.

    Parameters
    ----------
    data : numpy.ndarray
        uint8, all bytes.
    starts, ends : numpy.ndarray
        int64: message ``i`` is ``data[starts[i]:ends[i]]``.
    """

    def __init__(self, data: NDArray[np.uint8], starts: Integers, ends: Integers) -> None:
        self._fields: Fields = fields(data, starts, ends)

    def __len__(self) -> int:
        """Return how many there are."""
        return self._fields.messages

    def children(self, field: Field) -> tuple[WireMessages, Integers]:
        """See :class:`Messages`."""
        owner, starts, ends = self._fields.spans(field.number)
        return WireMessages(self._fields.data, starts, ends), owner

    def numbers(self, field: Field) -> Integers:
        """See :class:`Messages`."""
        return self._fields.last(field.number).view(np.int64)

    def times(self, field: Field) -> Integers:
        """See :class:`Messages`."""
        flat, owner = self._eights(field)
        result = np.zeros(len(self), np.int64)
        result[owner] = flat  # the last one counts
        return result

    def number_lists(self, field: Field) -> tuple[Integers, Integers]:
        """See :class:`Messages`."""
        flat, offsets = self._fields.repeated(field.number)
        return flat.view(np.int64), offsets

    def time_lists(self, field: Field) -> tuple[Integers, Integers]:
        """See :class:`Messages`."""
        flat, owner = self._eights(field)
        counts = np.bincount(owner, minlength=len(self))
        return flat, np.concatenate([[0], np.cumsum(counts)])

    def texts(self, field: Field) -> tuple[list[str], Integers]:
        """See :class:`Messages`."""
        found, owner = self._blobs(field)
        return [each.decode(errors="replace") for each in found], owner

    def given(self, field: Field, kind: str) -> tuple[list[Any], Integers]:
        """See :class:`Messages`."""
        if kind in ("bytes", "id"):
            found, owner = self._blobs(field)
            return [each.hex() for each in found], owner
        if kind == "double":
            flat, owner = self._eights(field)
            return flat.view(np.float64).tolist(), owner
        chosen = self._fields.number == field.number
        if (self._fields.wire[chosen] != VARINT).any():
            raise damaged(f"a field {field.json} has an unexpected type")
        values, owner = self._fields.value[chosen].view(np.int64).tolist(), self._fields.owner
        return [bool(each) for each in values] if kind == "bool" else values, owner[chosen]

    def _blobs(self, field: Field) -> tuple[list[bytes], Integers]:
        owner, starts, ends = self._fields.spans(field.number)
        data = self._fields.data
        return [
            data[at:end].tobytes() for at, end in zip(starts.tolist(), ends.tolist(), strict=True)
        ], owner

    def _eights(self, field: Field) -> tuple[Integers, Integers]:
        """Return numbers of 8 bytes, packed or not, and which message holds each."""
        found = self._fields
        chosen = np.flatnonzero(found.number == field.number)
        if not np.isin(found.wire[chosen], (_FIXED64, LENGTH)).all():
            raise damaged(f"a field {field.json} has an unexpected type")
        sizes = found.end[chosen] - found.start[chosen]
        if (sizes % 8).any():
            raise damaged(f"a number of {field.json} breaks off")
        counts = sizes // 8
        if int(counts.sum()) > MAX_EIGHTS:
            raise damaged(f"{field.json} has more than {MAX_EIGHTS:,} numbers")
        before = np.cumsum(counts) - counts
        step = np.arange(int(counts.sum())) - np.repeat(before, counts)
        at = np.repeat(found.start[chosen], counts) + 8 * step
        values = np.zeros(len(at), np.uint64)
        for place in range(8):
            values |= found.data[at + place].astype(np.uint64) << np.uint64(8 * place)
        return values.view(np.int64), np.repeat(found.owner[chosen], counts)
