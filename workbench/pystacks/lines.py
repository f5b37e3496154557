"""Decode ``co_linetable``: which source line each instruction belongs to.

Format: ``Objects/locations.md`` of CPython 3.11 (``InternalDocs/code_objects.md`` of 3.14). An
entry begins with the only byte that has bit 7 set: bits 3 to 6 are its kind, bits 0 to 2 the
number of code units less one. Kinds 0 to 9 stay on the line, 10 to 12 go on by 0 to 2 lines, 13
and 14 by a signed variable-length number that follows, and 15 has no line. Numbers come in groups
of six bits, least significant first; bit 6 says that another follows, and bit 0 of a signed
number is its sign.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

UNIT = 2
"""Bytes of a code unit (``_Py_CODEUNIT``)."""
NO_LINE = -1
_GROUPS = 6
"""Groups of six bits that an int can take."""
_LONG, _NO_COLUMNS, _NONE = 14, 13, 15


@dataclass(frozen=True)
class LineTable:
    """Lines of a code object.

    Parameters
    ----------
    starts : numpy.ndarray of int64
        Offsets in bytes at which ranges of instructions start, ascending from 0.
    lines : numpy.ndarray of int64
        Their lines, :data:`NO_LINE` where there is none.
    end : int
        Offset behind the last instruction.
    first_line : int
        ``co_firstlineno``: the line of what runs before the first instruction.
    """

    starts: NDArray[np.int64]
    lines: NDArray[np.int64]
    end: int
    first_line: int

    def at(self, offsets: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the line of each offset, as ``PyCode_Addr2Line`` does.

        Parameters
        ----------
        offsets : numpy.ndarray of int64
            In bytes; negative ones are before the first instruction.

        Returns
        -------
        numpy.ndarray of int64
            :data:`NO_LINE` where an instruction has none, or is not one of this code.
        """
        if not len(self.starts):
            return np.where(offsets < 0, self.first_line, NO_LINE)
        place = np.searchsorted(self.starts, offsets, "right") - 1
        found = np.where(offsets < self.end, self.lines[np.maximum(place, 0)], NO_LINE)
        return np.where(offsets < 0, self.first_line, found)


def decode_lines(table: bytes, first_line: int) -> LineTable:
    """Decode a line table; what makes no sense gives wrong lines, never an error.

    Parameters
    ----------
    table : bytes
        Content of ``co_linetable``.
    first_line : int
        ``co_firstlineno``.

    Returns
    -------
    LineTable
    """
    data = np.frombuffer(table, np.uint8).astype(np.int64)
    at = np.flatnonzero(data & 0x80)
    heads = data[at]
    kinds = heads >> 3 & 15
    sizes = ((heads & 7) + 1) * UNIT
    ends = np.cumsum(sizes)
    deltas = np.where((kinds >= 10) & (kinds <= 12), kinds - 10, 0)
    signed = (kinds == _NO_COLUMNS) | (kinds == _LONG)
    deltas[signed] = _signed_numbers(data, at[signed] + 1)
    lines = np.where(kinds == _NONE, NO_LINE, first_line + np.cumsum(deltas))
    return LineTable(ends - sizes, lines, int(ends[-1]) if len(ends) else 0, first_line)


def _signed_numbers(data: NDArray[np.int64], at: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the variable-length numbers that start at these places."""
    padded = np.append(data, np.zeros(_GROUPS, np.int64))
    values = np.zeros(len(at), np.int64)
    more = np.ones(len(at), np.bool_)
    for group in range(_GROUPS):
        bytes_ = padded[at + group]
        more &= bytes_ < 0x80  # the next entry: the number was cut
        values += np.where(more, (bytes_ & 63) << 6 * group, 0)
        more &= (bytes_ & 64) != 0
    halves = values >> 1
    return np.where(values & 1, -halves, halves)
