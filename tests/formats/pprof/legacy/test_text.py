from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from workbench.errors import ImportFormatError
from workbench.formats.pprof.legacy import text


def test_lines_and_sections():
    lines = pl.Series(["", "# a", "  ", "x", "y", "--- Memory map: ---", "z"])
    assert text.leading(lines)[0] == "x"
    assert text.leading(lines.slice(0, 3)).is_empty()
    body, maps = text.sections(lines)
    assert (body[-1], maps.to_list()) == ("y", ["z"])
    assert text.sections(body)[1].is_empty()


@pytest.mark.parametrize("at_once", [1, 2, 1 << 14])
def test_addresses(at_once, monkeypatch):
    monkeypatch.setattr(text, "_AT_ONCE", at_once)
    assert [len(each) for each in text.addresses(pl.Series([], dtype=pl.String))] == [0, 1]
    flat, offsets = text.addresses(pl.Series(["0x1 0xffffffffffffffff", "", "a 0x0a b"]))
    assert flat.tolist() == [1, (1 << 64) - 1, 10]
    assert offsets.tolist() == [0, 2, 2, 3]
    with pytest.raises(ImportFormatError):
        text.addresses(pl.Series(["0x10000000000000000"]))


NAMES = [
    "#\t0x10\tmain.(*T).f+0x1\t\t/a b/x.go:7",
    "#\t0x20\truntime.main+0x2\t/go/proc.go:1",
    "#\t0x10\tmain.other+0x2\t/go/proc.go:1",
    "#\t0x30",
    "# runtime.MemStats",
]


def test_names():
    assert text.names(pl.Series(NAMES)).rows() == [
        (0x10, "main.(*T).f", "/a b/x.go", 7),
        (0x20, "runtime.main", "/go/proc.go", 1),
    ]


def test_what_go_hides():
    names = text.names(pl.Series(NAMES))
    flat = np.array([0x99, 0x10, 0x98, 0x99, 0x98, 0x20, 0x10, 0x20, 0x20], np.uint64)
    offsets = np.array([0, 3, 5, 8, 9])
    left, ends = text.shown(flat, offsets, names)
    assert (left.tolist(), ends.tolist()) == (
        [0x10, 0x99, 0x98, 0x20, 0x10, 0x20, 0x20],
        [0, 1, 3, 6, 7],
    )
    left, ends = text.shown(flat, offsets, names, runtime=False)
    assert (left.tolist(), ends.tolist()) == (
        [0x10, 0x99, 0x98, 0x10, 0x20, 0x20],
        [0, 1, 3, 5, 6],
    )
    assert text.shown(flat, offsets, names.head(0))[0] is flat


def test_groups():
    lines = pl.Series(["a 1", "", "# x"])
    assert text.groups(lines, r"^a (?<n>\d)$")["n"].to_list() == ["1"]
    with pytest.raises(ImportFormatError) as error:
        text.groups(pl.Series(["b 1"]), r"^a (?<n>\d)$")
    assert error.value.why == "a sample cannot be 'b 1'."
