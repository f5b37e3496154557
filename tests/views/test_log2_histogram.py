from __future__ import annotations

import polars as pl
import pytest

from workbench.errors import ParameterError
from workbench.views.log2_histogram import Log2Histogram

FRAME = pl.DataFrame({"low_ns": [1024, 2048], "high_ns": [2048, 4096], "runs": [30, 10]})


def test_bars_and_units():
    view = Log2Histogram(FRAME, title="<waits>", notice="5 were lost")
    text = view.fragment()
    assert "1.02 µs" in text
    assert "&lt;waits&gt;" in text
    assert "5 were lost" in text
    assert text.count("--share: 100.0%") == text.count("--share: 33.3%") == 1
    assert "75.0%" in text
    assert repr(view) == "<Log2Histogram: <waits>, 2 buckets>"


def test_numbers_have_no_unit_and_nothing_is_no_error():
    sizes = FRAME.rename({"low_ns": "low", "high_ns": "high"})
    assert "1,024" in Log2Histogram(sizes).fragment()
    assert "wb-log2" in Log2Histogram(FRAME.clear()).fragment()
    with pytest.raises(ParameterError, match="three columns"):
        Log2Histogram(FRAME.drop("runs"))
