"""Buckets of exponential histograms, as OpenTelemetry's data model defines them.

Bucket ``i`` at scale ``s`` holds the values in ``(base^i, base^(i+1)]`` with ``base = 2^(2^-s)``:
the upper bound is in it (https://opentelemetry.io/docs/specs/otel/metrics/data-model/, "Exponential
Buckets"). The kernel's histograms have ``[2^i, 2^(i+1))``, see :func:`kernel_buckets`.
"""

from __future__ import annotations

from functools import cache
from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

SCALE = 3
"""Scale that values are counted at: eight buckets for each power of two, 9 % wide."""
MAX_BUCKETS = 160
"""Buckets of a data point at most, as the OpenTelemetry SDKs have it."""
_MANTISSA = 52


@cache
def _bounds(scale: int) -> NDArray[np.int64]:
    """Return the largest whole numbers up to ``2^(52 + j/2^scale)``, for ``j < 2^scale``.

    They are exact: the floor of a root of order ``2^scale`` is that of as many square roots.
    """
    found = []
    for step in range(1 << scale):
        root = 1 << ((_MANTISSA << scale) + step)
        for _ in range(scale):
            root = isqrt(root)
        found.append(root)
    return np.array(found, np.int64)


def bucket_of(values: Any, scale: int = SCALE) -> NDArray[np.int64]:
    """Return the bucket of each value.

    Parameters
    ----------
    values : array of float
        Positive and finite. Exact for all floats of 64 bits that are not subnormal.
    scale : int
        0 to 10.
    """
    mantissa, exponent = np.frexp(np.asarray(values, np.float64))
    whole = np.ldexp(mantissa, _MANTISSA + 1).astype(np.int64)
    # How many bounds lie below the value: none does for a power of two.
    inside = np.searchsorted(_bounds(scale), whole, "left")
    return ((exponent.astype(np.int64) - 1) << scale) + inside - 1


def shift_for(low: NDArray[np.int64], high: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return by how much the scale must fall so that buckets `low` to `high` are few enough.

    Each step merges two neighbours: bucket ``i`` becomes ``i >> 1``.
    """
    shift = np.zeros(len(low), np.int64)
    while (wide := (high >> shift) - (low >> shift) >= MAX_BUCKETS).any():
        shift += wide
    return shift


def kernel_buckets(histograms: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return histograms that were made in the kernel as zero counts and buckets at scale 0.

    Slot ``i`` of the kernel counts whole values in ``[2^i, 2^(i+1))``, slot 0 also zeros
    (``bpf/histogram.bpf.h``). The slots from 1 on become the buckets of the same number, no count
    is moved or split: clocks cut a time to whole nanoseconds, and a time read as ``v`` is one that
    lies above it, in ``(2^i, 2^(i+1)]`` as well. Slot 0, values up to 1, is the zero count with a
    threshold of 1.

    Parameters
    ----------
    histograms : numpy.ndarray
        Shape (n, 64).

    Returns
    -------
    zeros : numpy.ndarray
        Shape (n,).
    buckets : numpy.ndarray
        Shape (n, 63); the first is bucket 1.
    """
    return histograms[:, 0], histograms[:, 1:]


KERNEL_ZERO = 1.0
"""Threshold of the zero count of :func:`kernel_buckets`."""
