from __future__ import annotations

import numpy as np
import polars as pl

from workbench.formats.pprof.legacy.build import Label, Legacy, parsed
from workbench.formats.pprof.places import Mapping


def made(**more):
    stacks = (np.array([30, 10, 20, 10], np.uint64), np.array([0, 2, 2, 4]))
    return Legacy(
        (("n", "count"),), np.array([[1], [2], [3]]), stacks, ("cpu", "nanoseconds", 5), **more
    )


def test_locations_are_numbered_as_they_appear():
    found = parsed(made())
    assert found.locations["address"].tolist() == [30, 10, 20]
    assert found.flat.tolist() == [0, 1, 2, 1]
    assert found.offsets.tolist() == [0, 2, 2, 4]
    assert (found.text(found.period_type[0]), found.header["period"]) == ("cpu", 5)
    assert found.mappings["limit"].tolist() == [(1 << 64) - 1]
    assert not found.mappings["functions"].any()


def test_names():
    names = pl.DataFrame(
        {"address": [10, 30, 99], "function": ["f", "f", "x"], "file": ["a", "a", "b"],
         "line": [1, 2, 3]},
        schema_overrides={"address": pl.UInt64},
    )  # fmt: skip
    found = parsed(made(names=names))
    assert [found.text(each) for each in found.functions["name"]] == ["f"]
    assert found.lines["line"].tolist() == [2, 1]
    assert found.line_offsets.tolist() == [0, 1, 2, 2]
    assert found.mappings["functions"].all()
    placeless = parsed(made(names=names, placed=False))
    assert placeless.locations["address"].tolist() == [0, 0, 0]
    assert placeless.locations["mapping"].tolist() == [-1, -1, 0]


def test_labels_and_mappings():
    found = parsed(
        made(
            labels=(
                Label("bytes", np.arange(3), np.array([7, 8, 9])),
                Label("who", np.array([1]), ["me"]),
            ),
            mappings=[Mapping(0, 25, 0, "/bin/a", "b1")],
            drop_frames="x.*",
        )
    )
    told = [
        (sample, found.text(key), found.text(text), number)
        for sample, key, text, number in zip(
            *(found.labels[name].tolist() for name in ("sample", "key", "str", "num")), strict=True
        )
    ]
    expected = [(0, "bytes", "", 7), (1, "bytes", "", 8), (1, "who", "me", 0), (2, "bytes", "", 9)]
    assert told == expected
    assert found.locations["mapping"].tolist() == [1, 0, 0]
    assert found.text(found.mappings["build_id"][0]) == "b1"
    assert found.text(found.header["drop_frames"]) == "x.*"
