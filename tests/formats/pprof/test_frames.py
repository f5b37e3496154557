"""Locations as frames of a session: stacks that are expanded, kinds, names and places."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from workbench.errors import ImportFormatError
from workbench.formats.pprof import frames
from workbench.formats.pprof.frames import expanded, located


def test_stacks_of_locations_become_stacks_of_frames(monkeypatch):
    flat, offsets = np.array([0, 1, 1]), np.array([0, 2, 2, 3])
    lines = np.array([0, 1, 3])  # the second location has two
    found, ends = expanded(flat, offsets, np.array([2, 0, 1]), lines)
    assert (found.tolist(), ends.tolist()) == ([1, 2, 0, 1, 2], [0, 2, 5, 5])
    monkeypatch.setattr(frames, "MAX_ENTRIES", 4)
    with pytest.raises(ImportFormatError, match="4 in all"):
        expanded(flat, offsets, np.array([2, 0, 1]), lines)
    monkeypatch.setattr(frames, "MAX_DEPTH", 2)
    with pytest.raises(ImportFormatError, match="2 a stack"):
        expanded(flat, offsets, np.array([0]), lines)


def rows(*given):
    """Rows of frames: what is not given is 0 or empty."""
    plain = {
        "address": 0, "mapping": 0, "named": True, "last": True, "function": "f", "file": "",
        "line": 0, "module": "", "build_id": "", "shift": 0, "told": "",
    }  # fmt: skip
    schema = {"address": pl.UInt64, "shift": pl.UInt64, "mapping": pl.UInt32}
    return pl.DataFrame([plain | each for each in given], schema_overrides=schema)


def told(*given):
    table = pl.DataFrame(located(rows(*given)))
    columns = ("function", pl.col("kind").cast(pl.String), "module", "offset", "file", "line")
    return table.select(*columns).rows()


def test_kinds():
    cases = [
        ({"address": 1 << 63}, "kernel"),
        ({"module": "[kernel.kallsyms]"}, "kernel"),
        ({"module": "/lib/x.ko.xz"}, "kernel"),
        ({"file": "a.py"}, "python"),
        ({"module": "/tmp/perf-5.map"}, "jit"),
        ({"address": 5}, "native"),
        ({}, "unknown"),
        ({"last": False, "address": 1 << 63}, "inlined"),
        ({"told": "jit", "address": 1 << 63}, "jit"),
        ({"told": "python", "last": False}, "inlined"),
    ]
    assert [each[1] for each in told(*(case for case, _ in cases))] == [kind for _, kind in cases]


def test_places():
    library = {"module": "/lib/l.so", "mapping": 1, "address": 0x1010, "shift": (1 << 64) - 0x1000}
    found = told(
        library | {"line": 7, "file": "l.c"},
        library | {"named": False},
        library | {"told": "jit", "line": -1},
        {"module": "[python]", "file": "a.py", "line": 1 << 40},
    )
    assert found == [
        ("f", "native", "/lib/l.so", 0x10, "l.c", 7),
        ("[0x1010]", "native", "/lib/l.so", 0x10, None, None),
        ("f", "jit", "/lib/l.so", 0x1010, None, None),
        ("f", "python", "a.py", 0, "a.py", None),
    ]


def test_further_columns():
    table = located(
        rows({"address": 5}).with_columns(system_name=pl.lit("_Z1f")), ("system_name", "address")
    )
    assert table.to_pylist()[0]["system_name"] == "_Z1f"
    assert table.column_names[-2:] == ["system_name", "address"]
