from __future__ import annotations

import polars as pl
import pytest

from workbench.errors import ParameterError
from workbench.views.frame_table import FrameTable

FRAME = pl.DataFrame({"path": ["<a>", "b"], "read_bytes": [4096, 1024]}).with_columns(
    took=pl.Series([3_000, None]).cast(pl.Duration("ns"))
)


def test_units_bars_and_rest():
    text = FrameTable(FRAME, bar="took", title="Files", rows=1, notice="lost").fragment()
    for part in ("&lt;a&gt;", "4 KiB", "3 µs", "Files (first 1 of 2)", "read bytes", ">lost<"):
        assert part in text, part
    assert "1 KiB" not in text
    assert "--share: 100.0%" in text


def test_columns_that_are_shown():
    view = FrameTable(FRAME, "read_bytes", bar="read_bytes")
    assert "<a>" not in view.fragment()
    assert "--share: 25.0%" in view.table()
    assert repr(view) == "<FrameTable: untitled, 2 of 2 rows>"
    with pytest.raises(ParameterError, match="no column size"):
        FrameTable(FRAME, "size")
    with pytest.raises(ParameterError, match="no column took"):
        FrameTable(FRAME, "path", bar="took")


def test_nothing_to_compare_has_no_bars():
    nothing = FRAME.with_columns(took=pl.lit(0).cast(pl.Duration("ns")))
    assert "--share: 0.0%" in FrameTable(nothing, bar="took").table()
    assert "<table" in FrameTable(FRAME.clear(), bar="took").fragment()
