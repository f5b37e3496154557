"""Data points of columns, compared field by field with the generated classes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    NumberDataPoint,
    Sum,
)

from workbench.formats.otlp import attributes as of
from workbench.formats.otlp.metrics import points

U63 = st.integers(0, 2**63 - 1)
FINITE = st.floats(allow_nan=False)


@given(st.lists(st.tuples(U63, U63, st.integers(-(2**63), 2**63 - 1), FINITE), min_size=1))
@pytest.mark.parametrize("floats", [True, False])
def test_numbers(floats, rows):
    start, time, whole, real = map(list, zip(*rows, strict=True))
    values = np.array(real if floats else whole)
    names = of.counts(points.NUMBER_ATTRIBUTE, "n", np.array(whole))
    raw = points.numbers([names], np.array(start), np.array(time), values)
    expected = []
    for i in range(len(rows)):
        kind = {"as_double": real[i]} if floats else {"as_int": whole[i]}
        one = NumberDataPoint(start_time_unix_nano=start[i], time_unix_nano=time[i], **kind)
        one.attributes.add(key="n").value.int_value = whole[i]
        expected.append(one)
    assert list(Sum.FromString(b"".join(raw.to_pylist())).data_points) == expected


COUNTS = st.lists(st.integers(0, 2**40), min_size=3, max_size=3)
ROW = st.tuples(COUNTS, COUNTS, st.integers(0, 99), st.integers(-9, 9), FINITE, FINITE)


def buckets_of(first, counts):
    used = [place for place, n in enumerate(counts) if n]
    if not used:
        return None
    kept = counts[used[0] : used[-1] + 1]
    made = ExponentialHistogramDataPoint.Buckets(offset=first + used[0])
    made.bucket_counts.extend(kept)
    return made


@given(st.lists(ROW, min_size=1), st.integers(-(2**30), 2**30))
def test_distributions(rows, first):
    positive, negative, zeros, scale, low, high = map(list, zip(*rows, strict=True))
    count = [sum(p) + sum(n) + z for p, n, z in zip(positive, negative, zeros, strict=True)]
    ones = np.ones(len(rows), np.int64)
    made = points.Distribution(
        start=ones,
        time=ones * 2,
        count=np.array(count),
        sum=np.array(high),
        scale=np.array(scale),
        zeros=np.array(zeros),
        positive=points.Buckets(ones * first, np.array(positive)),
        negative=points.Buckets(ones * first, np.array(negative)),
        low=np.array(low),
        high=np.array(high),
        threshold=0.5,
    )
    raw = made.encoded([of.key_values(points.HISTOGRAM_ATTRIBUTE, {"a": "b"})])
    found = ExponentialHistogram.FromString(b"".join(raw.to_pylist())).data_points
    for i, point in enumerate(found):
        expected = ExponentialHistogramDataPoint(
            start_time_unix_nano=1,
            time_unix_nano=2,
            count=count[i],
            scale=scale[i],
            zero_count=zeros[i],
            min=low[i],
            max=high[i],
            zero_threshold=0.5,
        )
        expected.attributes.add(key="a").value.string_value = "b"
        if low[i] >= 0:  # the sum of a histogram goes up
            expected.sum = high[i]
        for side, counts in (("positive", positive[i]), ("negative", negative[i])):
            if (made_ := buckets_of(first, counts)) is not None:
                getattr(expected, side).CopyFrom(made_)
        assert point == expected


def test_exemplars():
    raw = points.exemplars(
        points.HISTOGRAM_EXEMPLAR,
        np.array([5, 6]),
        np.array([1.5, 2.5]),
        np.array([7, 0], np.uint64),
        (np.array([1, 2], np.uint64), np.array([3, 4], np.uint64)),
    )
    assert raw.to_pylist()[1] is None
    (found,) = ExponentialHistogramDataPoint.FromString(raw.to_pylist()[0]).exemplars
    assert (found.time_unix_nano, found.as_double) == (5, 1.5)
    assert found.span_id == (7).to_bytes(8, "big")
    assert found.trace_id == (1).to_bytes(8, "big") + (3).to_bytes(8, "big")


def test_buckets_without_counts():
    assert points.Buckets(np.zeros(2, np.int64), np.zeros((2, 0), np.int64)).parts(8) == []
    assert points.Buckets(np.zeros(2, np.int64), np.zeros((2, 3), np.int64)).parts(8) == []
