"""Locations as frames: names, places, kinds."""

from __future__ import annotations

import io

import numpy as np
import polars as pl
import pytest
from otlp_made import Made, dictionaries, simple

from workbench.errors import ImportFormatError
from workbench.formats.otlp.reading.read import read_protobuf
from workbench.formats.otlp.reading.read_frames import KINDS, frames, stacks
from workbench.formats.pprof import frames as shared
from workbench.schema import FRAME_KINDS


def test_rows_of_locations():
    rows, offsets = frames(dictionaries(simple()))
    assert offsets.tolist() == [0, 1, 3, 4, 5, 6]
    assert rows["function"].to_list() == ["", "small", "work", "sys_read", "", "handle"]
    assert rows["last"].to_list() == [True, False, True, True, True, True]
    assert rows["named"].to_list() == [False, True, True, True, False, True]
    assert rows["told"].to_list() == ["", "native", "native", "kernel", "", "python"]
    assert rows["build_id"].to_list() == ["", "abcd", "abcd", "", "abcd", ""]


def test_stacks_of_rows():
    found = dictionaries(simple())
    _, offsets = frames(found)
    flat, ends = stacks(found, np.array([-1, 0, 1, 2]), offsets)
    assert flat.tolist() == [3, 1, 2, 4, 5]
    assert ends.tolist() == [0, 0, 0, 3, 5]


def test_frames_of_the_session():
    table = pl.DataFrame(read_protobuf(io.BytesIO(simple().body())).frames)
    told = table.select("function", pl.col("kind").cast(pl.String), "module", "offset", "line")
    assert sorted(told.iter_rows()) == [
        ("[0x10ff]", "native", "/bin/program", 0x4FF, None),
        ("handle", "python", "", 0, 11),
        ("small", "inlined", "/bin/program", 0x420, 7),
        ("sys_read", "kernel", "", 0xFFFFFFFF81000010, None),
        ("work", "native", "/bin/program", 0x420, 9),
    ]


def test_kinds_and_build_ids():
    made = Made()
    build = "process.executable.build_id."
    file = made.mapping("a", {f"{build}htlhash": "h", f"{build}gnu": "g", f"{build}go": "o"})
    for kind in (*KINDS, "ruby", ""):
        given = {"profile.frame.type": kind} if kind else {}
        made.location((kind, "", 1), mapping=file, given=given)
    rows, _ = frames(dictionaries(made))
    assert rows["build_id"].unique().to_list() in (["", "g"], ["g", ""])
    told = dict(rows.select("function", "told").iter_rows())
    assert told == {**KINDS, "ruby": "unknown", "": ""}
    assert set(KINDS.values()) <= set(FRAME_KINDS)


def test_stacks_that_explode(monkeypatch):
    """A few bytes of a location can be many frames of many stacks."""
    made = Made()
    location = made.location(*[("f", "", 1)] * 100)
    for _ in range(10):
        made.stack(*[location] * 50)
    found = dictionaries(made)
    _, offsets = frames(found)
    monkeypatch.setattr(shared, "MAX_ENTRIES", 10_000)
    with pytest.raises(ImportFormatError, match="10,000 in all"):
        stacks(found, np.arange(11), offsets)
    made.stack(*[location] * 700)
    found = dictionaries(made)
    monkeypatch.undo()
    with pytest.raises(ImportFormatError, match="65,536 a stack"):
        stacks(found, np.array([11]), offsets)
