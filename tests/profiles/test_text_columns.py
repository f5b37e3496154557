"""A long text that stands in many rows is not copied without bound."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from workbench.errors import ImportFormatError
from workbench.profiles import text_columns
from workbench.profiles.text_columns import column, taken


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_texts_by_row(kind):
    texts = pa.array(["a", None, "ü"], kind)
    found = taken(texts, np.array([2, 0, -1, 1, 2]))
    assert found.type == kind
    assert found.to_pylist() == ["ü", "a", None, None, "ü"]
    assert taken(texts, np.zeros(0, np.int64)).to_pylist() == []
    assert taken(texts.slice(0, 0), np.array([-1])).to_pylist() == [None]
    assert column(["a", None]).to_pylist() == ["a", None]


def test_bounds(monkeypatch):
    monkeypatch.setattr(text_columns, "MAX_BYTES", 1000)
    texts = pa.array(["x" * 100, ""])
    assert len(taken(texts, np.repeat([0, 1], [10, 10_000]))) == 10_010
    with pytest.raises(ImportFormatError, match="more than 1,000 bytes"):
        taken(texts, np.zeros(11, np.int64))
    with pytest.raises(ImportFormatError, match="more than 1,000 bytes"):
        column(["x" * 1001])


def test_nothing_is_copied_before_it_is_refused():
    """A million rows of a megabyte: a TiB."""
    with pytest.raises(ImportFormatError, match="too large"):
        taken(pa.array(["x" * 10**6]), np.zeros(10**6, np.int64))


def test_a_long_text_that_is_not_asked_for_costs_nothing():
    """Nor one that is asked for once; pyarrow would reserve 500 GiB."""
    texts = pa.array(["x" * 10**6, "y"])
    rows = np.ones(10**6, np.int64)
    rows[5] = 0
    assert taken(texts, rows).nbytes < 10**7
