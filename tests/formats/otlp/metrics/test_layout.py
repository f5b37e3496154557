"""How many series are laid out at a time."""

import numpy as np
import polars as pl

from workbench.formats.otlp.metrics import layout
from workbench.formats.otlp.metrics.layout import Layout, chunks


def test_chunks_hold_every_series_once(monkeypatch):
    monkeypatch.setattr(layout, "_DENSE", 50)
    series = np.repeat(np.arange(9), [1, 3, 2, 9, 1, 1, 20, 1, 1])
    cells = np.arange(9)
    bucket = np.array([0, 5, 2, 90, 3, 3, 3, -70, 0])
    found = list(chunks(series, cells, bucket))
    assert [n for low, high in found for n in range(low, high)] == list(range(9))
    for low, high in found:
        size = ((series >= low) & (series < high)).sum() * np.ptp(bucket[low:high])
        assert size <= 50 or high == low + 1
    assert len(found) > 2
    assert list(chunks(series[:0], cells[:0], bucket[:0])) == []


def test_wide_series_get_a_lower_scale():
    cells = pl.DataFrame(
        {
            "point": [0, 1, 2],
            "series": [0, 0, 1],
            "sign": [1, 1, 1],
            "bucket": [0, 400, 7],
            "weight": [5, 6, 7],
        }
    )
    made = Layout(np.array([0, 0, 1]), cells, 0, 0)
    assert made.scale.tolist() == [1, 1, 3]
    rows = pl.DataFrame(
        {"count": [5, 11, 7], "sum": [0.0] * 3, "low": [0.0] * 3, "high": [0.0] * 3}
    )
    found = made.distribution(rows, np.zeros(3, np.int64), np.ones(3, np.int64)).positive
    got = [
        {int(first) + n: int(c) for n, c in enumerate(counts) if c}
        for first, counts in zip(found.first, found.counts, strict=True)
    ]
    assert got == [{0: 5}, {0: 5, 100: 6}, {7: 7}]
