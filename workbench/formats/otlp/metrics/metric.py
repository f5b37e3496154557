"""What metrics are made of: points under a name, the times they are of, what tells series apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from workbench.errors import ExportError
from workbench.formats.otlp import attributes as of
from workbench.formats.otlp import wire
from workbench.formats.otlp.lives import integers
from workbench.formats.otlp.metrics import points

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from workbench.formats.otlp.lives import People
    from workbench.recording import Recording

INTERVALS = 600
"""Intervals of a recording at most: longer ones get longer intervals than a second."""
SECOND = 1_000_000_000
_FIELDS = {"gauge": 5, "sum": 7, "histogram": 10}


class Metric:
    """A metric with its points, as parts of messages that stay under a size.

    Parameters
    ----------
    name, unit, meaning, form : str
        As of :class:`~workbench.formats.otlp.metrics.instrument.Instrument`.
    rows : pyarrow.BinaryArray
        Its points.
    """

    def __init__(self, name: str, unit: str, meaning: str, form: str, rows: pa.BinaryArray) -> None:
        self._head = wire.field(1, name) + wire.field(2, meaning) + wire.field(3, unit)
        self._form = form
        self.rows = rows
        self.name = name

    def parts(self, room: int) -> Iterator[tuple[bytes, int]]:
        """Yield whole ``Metric`` items of at most `room` bytes, with the number of their points.

        Raises
        ------
        ExportError
            One point is larger than that.
        """
        tail = b"" if self._form == "gauge" else wire.integer(2, points.CUMULATIVE)
        tail += wire.integer(3, 1) if self._form == "sum" else b""
        room -= len(self._head) + len(tail) + 3 * wire.MAX_VARINT
        offsets, data = wire.buffers(self.rows)
        start = 0
        while start < len(self.rows):
            stop = int(np.searchsorted(offsets, int(offsets[start]) + room, "right")) - 1
            if stop <= start:
                raise ExportError(
                    f"A point of {self.name} has {offsets[start + 1] - offsets[start]} bytes, "
                    f"a request has room for {room}.",
                    advice="Allow larger requests.",
                )
            body = data[int(offsets[start]) : int(offsets[stop])].tobytes() + tail
            yield wire.field(2, self._head + wire.field(_FIELDS[self._form], body)), stop - start
            start = stop


@dataclass(frozen=True)
class Intervals:
    """How the time that is looked at is divided.

    Parameters
    ----------
    start, end, length : int
        ns; the last interval may be shorter.
    """

    start: int
    end: int
    length: int

    @classmethod
    def of(cls, rec: Recording, people: People) -> Intervals:
        """Return seconds, or as many of them as make at most :data:`INTERVALS`."""
        low, high = rec.selection.window or (people.start, people.end)
        start, end = max(low, people.start), min(high, people.end)
        return cls(start, max(end, start), -(-max(end - start, 1) // (INTERVALS * SECOND)) * SECOND)

    def number(self, ts: pl.Expr) -> pl.Expr:
        """Return the interval of a time; what lies before or behind is in the first or last."""
        import polars as pl

        last = max(0, (self.end - self.start - 1) // self.length)
        return ((ts - self.start) // self.length).clip(0, last).cast(pl.Int32)

    def ends(self, rows: pl.DataFrame) -> NDArray[np.int64]:
        """Return the time of each row's ``interval``."""
        return np.minimum(self.start + (integers(rows, "interval") + 1) * self.length, self.end)


def series_attributes(number: int, rows: pl.DataFrame, by: Mapping[str, str]) -> list[Any]:
    """Return columns that tell series apart as attributes; nulls and empty texts are none."""
    import polars as pl

    made = []
    for name, key in by.items():
        column = rows[name].to_arrow(compat_level=pl.CompatLevel.oldest())
        text = rows.schema[name] == pl.String
        made.append((of.texts if text else of.numbers)(number, key, column))
    return made
