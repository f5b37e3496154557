from __future__ import annotations

import math

import legacy_pprof
import numpy as np
import polars as pl
import pytest

from workbench.errors import ImportFormatError
from workbench.formats.pprof.legacy import heap
from workbench.formats.pprof.legacy.text import sections


def read(content):
    return heap.read(*sections(pl.Series(content.decode().splitlines())))


def test_samples_stand_for_more():
    found = read(legacy_pprof.HEAP)
    assert [name for name, _ in found.types] == [
        "alloc_objects", "alloc_space", "inuse_objects", "inuse_space",
    ]  # fmt: skip
    scale = 1 / (1 - math.exp(-1250 / 524288))
    assert found.values[0, :2].tolist() == [int(4 * scale), int(5000 * scale)]
    assert found.values[1, 2] < -2  # a difference of two profiles
    assert found.labels[0].values.tolist() == [1024, 4999, 90000]
    assert found.period == ("space", "bytes", 524288)


@pytest.mark.parametrize(
    ("how", "period", "counted"),
    [
        ("heapprofile", 1, 3),
        ("growthz", 1, 3),
        ("fragmentation", 1, 3),
        ("heap/8192", 4096, 3 / (1 - math.exp(-100 / 4096))),
        ("heapz_v2/4096", 4096, 3 / (1 - math.exp(-100 / 4096))),
        ("heap_v2/1", 1, 3),
    ],
)
def test_ways_of_sampling(how, period, counted):
    found = read(f"heap profile: 3: 300 [3: 300] @ {how}\n3: 300 [3: 300] @ 0x10\n".encode())
    assert found.period[2] == period
    assert found.values.tolist() == [[int(counted), int(counted * 100)]]
    assert found.types == (("objects", "count"), ("space", "bytes"))


def test_amounts_that_cannot_be():
    count, size = np.array([1, 1 << 40, -5, 0, 3]), np.array([1 << 62, 1, 5, 0, 0])
    blocks, sizes = heap.unsampled(count, size, 1 << 62)
    assert blocks[3:].tolist() == sizes[3:].tolist() == [0, 0]
    assert abs(blocks).max() < 1 << 63


@pytest.mark.parametrize(
    ("sample", "why"),
    [
        ("0: 5 [1: 2] @ 0x1", "those of no block"),
        ("1: 5 [1: 2]", "a sample cannot be '1: 5 [1: 2]'"),
        ("1: 5 [1: 2] @ 0x" + "1" * 17, "longer than 64 bits"),
        ("1: 99999999999999999999 [1: 2] @ 0x1", "An amount cannot be"),
    ],
)
def test_refused(sample, why):
    with pytest.raises(ImportFormatError) as error:
        read(f"heap profile: 3: 300 [3: 300] @ heapprofile\n{sample}\n".encode())
    assert why in str(error.value)
