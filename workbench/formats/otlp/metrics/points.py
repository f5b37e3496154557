"""Data points: columns of values and counts as protobuf messages, each a field of its metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from workbench.formats.otlp import wire

if TYPE_CHECKING:
    import pyarrow as pa

    from workbench.formats.otlp.identity import Ids

POINT = 1
"""Field of the data points in ``Sum``, ``Gauge`` and ``ExponentialHistogram``."""
NUMBER_ATTRIBUTE, HISTOGRAM_ATTRIBUTE = 7, 1
NUMBER_EXEMPLAR, HISTOGRAM_EXEMPLAR = 5, 11
"""Fields of ``NumberDataPoint`` and of ``ExponentialHistogramDataPoint``."""
CUMULATIVE = 2
"""``AggregationTemporality``."""


def fixed(number: int, values: Any, dtype: str) -> pa.BinaryArray:
    """Return a field of 64 bits in every row: ``<i8``, ``<u8`` or ``<f8``."""
    rows = np.empty(len(values), [("key", "V1"), ("value", dtype)])
    rows["key"] = np.frombuffer(wire.tag(number, wire.FIXED64), "V1")[0]
    rows["value"] = values
    return wire.block(rows)


def numbers(
    attributes: Sequence[wire.Part], start: Any, time: Any, values: Any, *more: wire.Part
) -> pa.BinaryArray:
    """Return a ``NumberDataPoint`` for each row.

    Parameters
    ----------
    attributes : sequence of column
        Of the field :data:`NUMBER_ATTRIBUTE`.
    start, time : array of int
        ns UTC; a start of 0 is not known, as of gauges.
    values : array
        Integers or floats.
    *more : column
        Exemplars.
    """
    array = np.asarray(values)
    floats = array.dtype.kind == "f"
    value = fixed(4, array, "<f8") if floats else fixed(6, wire.bits(array), "<u8")
    return wire.message(
        POINT, *attributes, fixed(2, start, "<u8"), fixed(3, time, "<u8"), value, *more
    )


@dataclass(frozen=True)
class Buckets:
    """Counts of the buckets of each point.

    Parameters
    ----------
    first : numpy.ndarray
        Shape (n,): number of the bucket that the first column of each row is.
    counts : numpy.ndarray
        Shape (n, columns). What is empty at both ends of a row is left out.
    """

    first: NDArray[np.int64]
    counts: NDArray[np.int64]

    def parts(self, number: int) -> list[wire.Part]:
        """Return the message ``Buckets`` of each point, null where all are empty, in parts.

        They are joined with those of the point: joining them before would copy them twice.
        """
        rows, columns = self.counts.shape
        if not self.counts.size:
            return []
        low, high, some = self._ends()
        if not some.any():
            return []
        base = np.arange(rows) * columns
        starts, ends = base + low, base + high
        offsets, data = _cells(self.counts)
        if offsets is not None:
            starts, ends = offsets[starts], offsets[ends]
        counts = wire.pieces(data, starts, ends)
        head = self._heads(number, wire.zigzag(self.first + low), ends - starts)
        return [wire.present(part, some) for part in (head, counts)]

    def _ends(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
        """Return of each row the first bucket that is used, that behind the last, if any is."""
        rows, columns = self.counts.shape
        if self.counts[:, 0].all() and self.counts[:, -1].all():
            return np.zeros(rows, np.int64), np.full(rows, columns), np.ones(rows, bool)
        used = self.counts != 0
        low = used.argmax(axis=1)
        some = used[np.arange(rows), low]
        high = np.where(some, columns - used[:, ::-1].argmax(axis=1), low)
        return low, high, some

    @staticmethod
    def _heads(number: int, offset: NDArray[np.uint64], sizes: Any) -> wire.Part:
        """Return what stands before packed counts, encoded once for each different one.

        Parameters
        ----------
        number : int
            Field of the buckets.
        offset, sizes : array
            Offset of the first bucket (zigzag, 32 bits), and bytes of the counts.
        """
        import pyarrow as pa

        both = offset << np.uint64(32) | sizes.astype(np.uint64)
        codes = None
        if (both == both[0]).all():
            different = both[:1]
        else:
            coded = pa.array(both).dictionary_encode()
            different, codes = np.asarray(coded.dictionary), coded.indices
        sizes = (different & np.uint64(2**32 - 1)).astype(np.int64)
        key = wire.tag(1, wire.VARINT)
        numbers = wire.varints(different >> np.uint64(32))
        inner = wire.join(key, numbers, wire.prefixes(2, sizes))
        whole = wire.join(wire.prefixes(number, wire.lengths(inner) + sizes), inner)
        return whole[0].as_py() if codes is None else wire.repeated(whole, codes)


@dataclass(frozen=True)
class Distribution:
    """Columns of exponential histograms.

    Parameters
    ----------
    start, time, count : numpy.ndarray
        int64.
    sum, low, high : numpy.ndarray
        float64: sum, smallest and largest value; the sum is left out where values are negative,
        `low` and `high` where they are None.
    scale : numpy.ndarray
        int64.
    zeros : numpy.ndarray
        int64, values not above `threshold`.
    positive, negative : Buckets
        Of negative values the buckets are those of their absolute values; None for none.
    threshold : float
    """

    start: NDArray[np.int64]
    time: NDArray[np.int64]
    count: NDArray[np.int64]
    sum: NDArray[np.float64]
    scale: NDArray[np.int64]
    zeros: NDArray[np.int64]
    positive: Buckets
    negative: Buckets | None = None
    low: NDArray[np.float64] | None = None
    high: NDArray[np.float64] | None = None
    threshold: float = 0.0

    def encoded(self, attributes: Sequence[wire.Part], *more: wire.Part) -> pa.BinaryArray:
        """Return an ``ExponentialHistogramDataPoint`` for each row, with exemplars in `more`."""
        parts = [self._head(), self._scale(), *self.positive.parts(8)]
        if self.negative is not None:
            parts += self.negative.parts(9)
        if self.low is not None and self._mixed():
            parts.append(wire.present(fixed(5, self.sum, "<f8"), self.low >= 0))
        if self.threshold:
            parts.append(wire.tag(14, wire.FIXED64) + np.float64(self.threshold).tobytes())
        return wire.message(POINT, *attributes, *parts, *more)

    def _mixed(self) -> bool:
        """Whether some points hold negative values: these have no sum."""
        return self.low is not None and bool((self.low < 0).any())

    def _head(self) -> pa.BinaryArray:
        """Return the fields of 64 bits: together they are much faster than one by one."""
        fields: list[tuple[int, str, Any]] = [
            (2, "<u8", self.start),
            (3, "<u8", self.time),
            (4, "<u8", self.count),
            (7, "<u8", self.zeros),
        ]
        if not self._mixed():
            fields.append((5, "<f8", self.sum))
        ends = ((12, self.low), (13, self.high))
        fields += [(number, "<f8", values) for number, values in ends if values is not None]
        dtype = [
            (f"{what}{n}", kind) for n, k, _ in fields for what, kind in (("key", "u1"), ("", k))
        ]
        rows = np.empty(len(self.count), dtype)
        for number, _, values in fields:
            rows[f"key{number}"] = wire.tag(number, wire.FIXED64)[0]
            rows[f"{number}"] = values
        return wire.block(rows)

    def _scale(self) -> wire.Part:
        numbers = wire.zigzag(self.scale)
        key = wire.tag(6, wire.VARINT)
        if len(numbers) and (numbers == numbers[0]).all():
            return key + wire.varint(int(numbers[0]))
        return wire.join(key, wire.varints(numbers))


def _cells(counts: NDArray[np.int64]) -> tuple[NDArray[np.int32] | None, NDArray[np.uint8]]:
    """Return all counts as varints: where each begins, None where each is one byte; the bytes."""
    if counts.min() >= 0 and counts.max() < 0x80:
        return None, counts.astype(np.uint8).ravel()
    return wire.buffers(wire.varints(counts.ravel()))


def exemplars(
    number: int, time: Any, values: Any, span: Ids, trace: tuple[Ids, Ids]
) -> pa.BinaryArray:
    """Return an ``Exemplar`` of each point: one of its values, and the span it is of.

    Null where the span is 0.
    """
    rows = np.empty(
        len(span),
        [
            ("time_key", "V1"),
            ("time", "<u8"),
            ("value_key", "V1"),
            ("value", "<f8"),
            ("span_key", "V2"),
            ("span", ">u8"),
            ("trace_key", "V2"),
            ("trace_1", ">u8"),
            ("trace_2", ">u8"),
        ],
    )
    rows["time_key"] = np.frombuffer(wire.tag(2, wire.FIXED64), "V1")[0]
    rows["value_key"] = np.frombuffer(wire.tag(3, wire.FIXED64), "V1")[0]
    rows["span_key"] = np.frombuffer(wire.tag(4, wire.DELIMITED) + b"\x08", "V2")[0]
    rows["trace_key"] = np.frombuffer(wire.tag(5, wire.DELIMITED) + b"\x10", "V2")[0]
    rows["time"], rows["value"], rows["span"] = time, values, span
    rows["trace_1"], rows["trace_2"] = trace
    return wire.present(wire.message(number, wire.block(rows)), span != 0)
