from __future__ import annotations

import gzip
import io

import polars as pl
import pytest

from workbench.errors import ImportFormatError
from workbench.profiles import stack_texts
from workbench.profiles.stack_texts import (
    folded_entries,
    in_parts,
    named_tables,
    numbered,
    numbers,
    places,
    split,
    tables,
    text_lines,
)
from workbench.schema import FRAMES, STACKS, arrow_schema


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a\nb\n", ["a", "b"]),
        (b"a\r\n\r\nb", ["a", "", "b"]),
        (b"", [""]),
        (gzip.compress(b"a\n\xff\n", mtime=0), ["a", "\ufffd"]),
    ],
)
def test_lines(content, expected):
    assert text_lines(io.BytesIO(content)).to_list() == expected


def test_long_texts_are_refused():
    with pytest.raises(ImportFormatError, match="too large"):
        text_lines(io.BytesIO(b"a\n" * 100), 50)


def test_numbers():
    assert numbers(pl.Series(["1", "-2", str(2**63 - 1)]), "It").tolist() == [1, -2, 2**63 - 1]
    assert numbers(pl.Series([], dtype=pl.String), "It").tolist() == []
    for wrong in ("x", str(2**63), "1.5", ""):
        with pytest.raises(ImportFormatError, match="It cannot be"):
            numbers(pl.Series(["1", wrong]), "It")


def test_tables():
    entries = pl.DataFrame(
        {"stack": [0, 0, 2, 2], "function": ["f", "main", "main", "main"], "line": [3, 1, 1, 2]}
    )
    frames, stacks = tables(entries, 4)
    assert frames.schema.equals(arrow_schema(FRAMES))
    assert stacks.schema.equals(arrow_schema(STACKS))
    assert pl.DataFrame(frames).select("function", "line", "kind").rows() == [
        ("f", 3, "unknown"),
        ("main", 1, "unknown"),
        ("main", 2, "unknown"),
    ]
    assert pl.DataFrame(stacks)["frame_ids"].to_list() == [[0, 1], [], [1, 2], []]


def test_nothing():
    frames, stacks = named_tables(*folded_entries(pl.Series([], dtype=pl.String)), 0)
    assert (frames.num_rows, stacks.num_rows) == (0, 0)


def test_too_much_is_refused(monkeypatch):
    entries = pl.DataFrame({"stack": [0, 0, 0], "function": ["f"] * 3})
    monkeypatch.setattr(stack_texts, "MAX_DEPTH", 2)
    with pytest.raises(ImportFormatError, match="At most 2 a stack"):
        tables(entries, 1)
    monkeypatch.setattr(stack_texts, "MAX_DEPTH", 3)
    monkeypatch.setattr(stack_texts, "MAX_FRAMES", 2)
    with pytest.raises(ImportFormatError, match="2 in all"):
        tables(entries, 1)
    with pytest.raises(ImportFormatError, match="2 in all"):
        split(pl.Series(["a;b", "c"]), ";")


def test_parts():
    texts = pl.Series(["a;b", "", "c;"])
    assert split(texts, ";").rows() == [(0, "a"), (0, "b"), (2, "c"), (2, "")]
    assert split(texts, ";", rooted=True).rows() == [(0, "b"), (0, "a"), (2, ""), (2, "c")]


def test_folded_entries():
    names, entries = folded_entries(pl.Series(["main;f_[k]", "", "<module> (a.py:3);main"]))
    assert entries.rows() == [(0, 0), (0, 1), (2, 1), (2, 2)]
    assert names.rows() == [
        ("f", "kernel", None, None, ""),
        ("main", "unknown", None, None, ""),
        ("<module>", "python", "a.py", 3, ""),
    ]


def test_modules_of_native_frames():
    names, _ = folded_entries(pl.Series(["<module> (a.py:3);f (libz.so.1.2);main (python3.11)"]))
    assert names.select("function", "kind", "file", "module").rows() == [
        ("main", "native", None, "python3.11"),
        ("f", "native", None, "libz.so.1.2"),
        ("<module>", "python", "a.py", ""),
    ]
    mixed = pl.Series(["operator() (int);f (libz.so);g (x);main"])  # not py-spy's: no places
    names, _ = folded_entries(mixed)
    assert names.select("function", "kind", "module").rows() == [
        ("main", "unknown", ""),
        ("g (x)", "unknown", ""),
        ("f", "native", "libz.so"),
        ("operator() (int)", "unknown", ""),
    ]


def test_places():
    texts = pl.Series(["b", "a", "b", ""])
    assert places(texts, texts.unique(maintain_order=True)).tolist() == [0, 1, 0, 2]


def test_names_that_mean_the_same_are_one_frame_and_unused_ones_none():
    names = pl.DataFrame({"function": ["unused", "a", "b", "a"]})
    entries = pl.DataFrame({"stack": [0, 0, 1], "name": [1, 2, 3]})
    frames, stacks = named_tables(names, entries, 2)
    assert frames["function"].to_pylist() == ["a", "b"]
    assert stacks["frame_ids"].to_pylist() == [[0, 1], [0]]
    assert numbered(split(pl.Series(["a;b;a"]), ";"))[1]["name"].to_list() == [0, 1, 0]


def test_texts_of_many_lines_are_refused(monkeypatch):
    monkeypatch.setattr(stack_texts, "MAX_LINES", 5)
    assert len(text_lines(io.BytesIO(b"\n" * 5))) == 5
    with pytest.raises(ImportFormatError, match="more than 5 lines"):
        text_lines(io.BytesIO(gzip.compress(b"\n" * 6)))


def test_lines_and_names_have_bounds(monkeypatch):
    monkeypatch.setattr(stack_texts, "MAX_LINE", 10)
    assert text_lines(io.BytesIO(b"123456789\n")).to_list() == ["123456789"]
    with pytest.raises(ImportFormatError, match="more than 10 bytes"):
        text_lines(io.BytesIO(b"a\n1234567890\n"))
    entries = split(pl.Series(["a;b", "c"]), ";")
    monkeypatch.setattr(stack_texts, "MAX_NAMES", 2)
    with pytest.raises(ImportFormatError, match="more than 2 names"):
        numbered(entries)
    monkeypatch.setattr(stack_texts, "MAX_NAMES", 3)
    monkeypatch.setattr(stack_texts, "MAX_NAMES_BYTES", 2)
    with pytest.raises(ImportFormatError, match="2 bytes of them"):
        numbered(entries)


@pytest.mark.parametrize("at_once", [1, 3, 100])
def test_lines_in_parts(at_once, monkeypatch):
    monkeypatch.setattr(stack_texts, "_AT_ONCE", at_once)
    for texts in ([], ["a"], ["", "", "abcdef", "g", ""]):
        rows = pl.DataFrame({"line": texts}, schema={"line": pl.String})
        found = list(in_parts(rows))
        assert pl.concat(found).equals(rows)
        assert all(
            part["line"].str.len_bytes().sum() <= at_once or len(part) == 1 for part in found
        )
