from __future__ import annotations

import polars as pl
import pytest

from workbench.errors import ImportFormatError
from workbench.profiles import interning
from workbench.profiles.interning import Stacks
from workbench.schema import FRAMES, STACKS, arrow_schema


def test_what_is_equal_has_one_number():
    stacks = Stacks()
    main = stacks.frame("main", module="/bin/a", kind="native", file="a.c", line=3, offset=16)
    work = stacks.frame("work", kind="python", file="a.py", line=0)
    assert main != work
    assert (
        stacks.frame("main", module="/bin/a", kind="native", file="a.c", line=3, offset=16) == main
    )
    deep, empty = stacks.stack([work, main]), stacks.stack([])
    assert stacks.stack((work, main)) == deep
    assert len({deep, empty, stacks.stack([main])}) == 3

    frames, table = stacks.frames_table(), stacks.stacks_table()
    assert frames.schema.equals(arrow_schema(FRAMES))
    assert table.schema.equals(arrow_schema(STACKS))
    rows = {row["frame_id"]: row for row in frames.to_pylist()}
    assert rows[main] == {
        "frame_id": main, "function": "main", "file": "a.c", "line": 3, "module": "/bin/a",
        "build_id": "", "offset": 16, "kind": "native",
    }  # fmt: skip
    assert rows[work]["line"] is None
    assert pl.DataFrame(table)["frame_ids"].to_list() == [[work, main], [], [main]]


def test_addresses_are_64_bits_and_lines_32():
    stacks = Stacks()
    frame = stacks.frame("f", offset=-1, line=1 << 40)
    row = stacks.frames_table().to_pylist()[frame]
    assert (row["offset"], row["line"]) == ((1 << 64) - 1, None)


def test_too_much_is_refused(monkeypatch):
    monkeypatch.setattr(interning, "MAX_DEPTH", 3)
    monkeypatch.setattr(interning, "MAX_ENTRIES", 5)
    stacks = Stacks()
    stacks.stack([0, 0, 0])
    with pytest.raises(ImportFormatError, match="At most 3 a stack"):
        Stacks().stack([0] * 4)
    with pytest.raises(ImportFormatError, match="5 in all"):
        stacks.stack([0, 0, 1])
