"""The message, as the protobuf library reads it."""

from __future__ import annotations

import io

import numpy as np
import polars as pl
import profile_pb
import pytest

from workbench.formats.pprof import encode as module
from workbench.formats.pprof.encode import Header, encode
from workbench.formats.pprof.places import places
from workbench.formats.pprof.sample_types import LabelType, SampleType, Valued

FRAMES = pl.DataFrame(
    {
        "function": ["leaf", "main"], "file": ["a.c", None], "line": [3, None], "build_id": "b",
        "module": ["/bin/a", "/bin/a"], "offset": [16, 32], "kind": ["native", "native"],
    },
    schema_overrides={"offset": pl.UInt64, "line": pl.UInt32},
)  # fmt: skip
ROWS = pl.DataFrame(
    {
        "stack": [0, 1, 0, 0],
        "v": [1, -2, 3, 0],
        "w": [1 << 40, 5, 6, 7],
        "pid": [7, None, 8, 7],
        "comm": ["a", None, "ü", "a"],
        "tags": [["x", "y"], [], None, ["x", "y"]],
    },
    schema_overrides={"tags": pl.List(pl.String)},
)


@pytest.mark.parametrize("at_once", [1, 3, 1 << 17])
def test_everything_is_in_its_place(at_once, monkeypatch):
    monkeypatch.setattr(module, "_AT_ONCE", at_once)
    monkeypatch.setattr(module, "_ENTRIES", at_once)
    where = places(FRAMES, np.array([0, 1, 1]), np.array([0, 2, 3]))
    known = Valued(
        ROWS.lazy(),
        (SampleType("n", "count", "v"), SampleType("t", "nanoseconds", "w")),
        (
            LabelType("pid", "", "pid"),
            LabelType("thread", "", "comm"),
            LabelType("tag", "", "tags"),
        ),
        "t",
        ("t", "nanoseconds", 99),
    )
    file = io.BytesIO()
    header = Header(5, 6, ("one", "two"), "drop", "keep", "http://example.org")
    encode(file, header, known, ROWS, where)
    found = profile_pb.plain(profile_pb.Profile.FromString(file.getvalue()))
    mapping = (1 << 40, (1 << 40) + 4096, 0, "/bin/a", "b", True, True, True, True)
    leaf = (mapping, (1 << 40) + 16, False, ((("leaf", "leaf", "a.c", 0), 3, 0),))
    main = (mapping, (1 << 40) + 32, False, ((("main", "main", "", 0), 0, 0),))
    tags = [("tag", "x", 0, ""), ("tag", "y", 0, "")]
    assert found["samples"] == {
        ((leaf, main), (("pid", "", 7, ""), *tags, ("thread", "a", 0, ""))): [1, (1 << 40) + 7],
        ((main,), ()): [-2, 5],
        ((leaf, main), (("pid", "", 8, ""), ("thread", "ü", 0, ""))): [3, 6],
    }
    assert found["types"] == [("n", "count"), ("t", "nanoseconds")]
    assert found["period"] == ("t", "nanoseconds", 99)
    assert found["comments"] == ["one", "two"]
    assert (found["default"], found["frames"]) == ("t", ("drop", "keep"))
    assert (found["time"], found["doc_url"]) == ((5, 6), "http://example.org")


def test_nothing_is_a_profile_too():
    none = np.zeros(0, np.int64)
    where = places(FRAMES.clear(), none, np.zeros(1, np.int64))
    known = Valued(ROWS.lazy(), (SampleType("n", "count", "v"),), (), "")
    file = io.BytesIO()
    encode(file, Header(), known, ROWS.clear(), where)
    profile = profile_pb.Profile.FromString(file.getvalue())
    assert list(profile.string_table) == ["", "n", "count"]
    assert not profile.sample
