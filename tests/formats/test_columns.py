from __future__ import annotations

import io
import json

import polars as pl
import pytest

from workbench.formats import _columns
from workbench.formats._columns import Columns


def rows(*values):
    schema = dict.fromkeys(("pid", "tid", "x"), pl.Int64)
    return pl.DataFrame(values, schema=schema, orient="row")


COLUMNS = {"x": lambda part: part["x"], "twice": lambda part: part["x"] * 2}
PARTS = [rows((1, 1, 5), (1, 2, 6), (1, 1, 7)), rows((1, 2, None)), rows((0, 9, 8), (1, 1, 9))]


@pytest.mark.parametrize("spool", [1, 1 << 20])
def test_threads_have_their_columns(spool, monkeypatch):
    monkeypatch.setattr(_columns, "_SPOOL", spool)
    with Columns(COLUMNS) as columns:
        columns.add(PARTS)
        assert columns.threads() == [(0, 9), (1, 1), (1, 2)]
        found = []
        for who in [*reversed(columns.threads()), (5, 5)]:
            out = io.BytesIO(b"")
            columns.put(out, who)
            found.append(json.loads(b"{" + out.getvalue() + b"}"))
    assert found == [
        {"x": [6, None], "twice": [12, None], "length": 2},
        {"x": [5, 7, 9], "twice": [10, 14, 18], "length": 3},
        {"x": [8], "twice": [16], "length": 1},
        {"x": [], "twice": [], "length": 0},
    ]


def test_blocks_are_copied_whole(monkeypatch):
    monkeypatch.setattr(_columns, "_BLOCK", 3)
    values = list(range(100, 400))
    with Columns({"x": COLUMNS["x"]}) as columns:
        columns.add([rows(*((1, 1, value) for value in values))])
        out = io.BytesIO()
        columns.put(out, (1, 1))
    assert json.loads(b"{" + out.getvalue() + b"}") == {"x": values, "length": 300}
