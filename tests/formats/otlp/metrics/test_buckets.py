"""Buckets of exponential histograms: exact at their bounds, as the data model has them."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.formats.otlp.metrics.buckets import MAX_BUCKETS, bucket_of, kernel_buckets, shift_for
from workbench.frames.quantiles import bounds

POSITIVE = st.floats(1e-300, 1e300)


def inside(value, bucket, scale):
    """Whether the value is in (base^bucket, base^(bucket + 1)], exactly."""
    power = Fraction(value) ** (1 << scale)  # compared with powers of two
    return Fraction(2) ** bucket < power <= Fraction(2) ** (bucket + 1)


@given(POSITIVE, st.integers(0, 4))
def test_values_are_in_their_bucket(value, scale):
    (bucket,) = bucket_of([value], scale).tolist()
    assert inside(value, bucket, scale)


@given(st.integers(1, 2**53), st.integers(0, 4))
def test_whole_numbers(value, scale):
    assert inside(value, int(bucket_of([value], scale)[0]), scale)


@pytest.mark.parametrize("scale", range(6))
def test_powers_of_two_are_the_upper_bound(scale):
    powers = np.arange(-300, 300)
    found = bucket_of(np.ldexp(1.0, powers), scale)
    assert (found == (powers << scale) - 1).all()
    above = bucket_of(np.nextafter(np.ldexp(1.0, powers), np.inf), scale)
    assert (above == powers << scale).all()


@given(st.lists(POSITIVE, min_size=1), st.integers(1, 4))
def test_a_lower_scale_merges_neighbours(values, scale):
    assert (bucket_of(values, scale) >> 1 == bucket_of(values, scale - 1)).all()


@given(st.lists(st.tuples(st.integers(-5000, 5000), st.integers(0, 9000)), min_size=1))
def test_shifts(pairs):
    low = np.array([a for a, _ in pairs])
    high = low + [size for _, size in pairs]
    shift = shift_for(low, high)
    assert ((high >> shift) - (low >> shift) < MAX_BUCKETS).all()
    less = np.maximum(shift - 1, 0)
    needed = (high >> less) - (low >> less) >= MAX_BUCKETS
    assert (needed | (shift == 0)).all()  # not more than must be


def test_histograms_of_the_kernel_keep_their_counts():
    histogram = np.arange(128).reshape(2, 64)
    zeros, buckets = kernel_buckets(histogram)
    assert (zeros + buckets.sum(axis=1) == histogram.sum(axis=1)).all()
    low, high = bounds(np.arange(64))  # what the workbench itself says of the slots
    assert (buckets == histogram[:, 1:]).all()
    for slot in range(1, 52):  # whole numbers up to 2^53 are floats
        inner = [int(low[slot]) + 1, int(high[slot]) - 1]
        assert (bucket_of(inner, 0) == slot).all()
    assert int(high[0]) == 2  # 0 and 1: the zero count's threshold is 1
