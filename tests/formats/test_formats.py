"""One test run over every format: written files can be read, honour selections, fail cleanly."""

from __future__ import annotations

import gzip
import io
import os

import pytest
import synthetic

from workbench.errors import ExportError, ImportFormatError, MissingTableError, StorageError
from workbench.formats import (
    export,
    export_to,
    format_of,
    formats,
    readable,
    recognised,
    writable,
)
from workbench.formats.format import Format
from workbench.recording import Recording


@pytest.fixture(scope="module")
def rec(tmp_path_factory):
    path = tmp_path_factory.mktemp("formats") / "a.wb"
    return Recording.open(synthetic.make_session(path, rows=700))


def test_every_file_is_a_format():
    assert {"arrow", "csv", "folded", "parquet"} <= set(formats())
    for name, item in formats().items():
        assert isinstance(item, Format)
        assert item.name == name
        assert item.suffix.startswith(".")
        assert item.meaning
        assert item.write or item.read
        assert bool(item.read) == bool(item.recognise)


@pytest.mark.parametrize("name", sorted(writable()))
def test_every_format_writes_a_file_and_replaces_one(rec, name, tmp_path):
    path = tmp_path / "out"
    path.write_text("old")
    assert export(rec, name, path) == path
    assert path.read_bytes() != b"old"
    assert path.stat().st_size > 100
    assert path.stat().st_mode & 0o777 == 0o666 & ~current_umask()
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def current_umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("name", sorted(writable()))
def test_a_failure_leaves_nothing_and_keeps_the_old_file(rec, name, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    path = tmp_path / "out"
    path.write_text("old")
    monkeypatch.setattr("workbench.formats.Path.replace", fail)
    with pytest.raises(StorageError, match="Free space"):
        export(rec, name, path)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert path.read_text() == "old"


@pytest.mark.parametrize("name", ["arrow", "csv", "parquet"])
def test_wrong_table(rec, name, tmp_path):
    with pytest.raises(MissingTableError):
        export(rec, name, tmp_path / "out", table="tcp")
    assert not list(tmp_path.iterdir())


def test_wrong_format_or_place(rec, tmp_path):
    with pytest.raises(ExportError, match="chrome, csv, firefox"):
        export(rec, "xlsx", tmp_path / "out")
    with pytest.raises(ExportError, match="directory"):
        export(rec, "csv", tmp_path)
    with pytest.raises(StorageError):
        export(rec, "csv", tmp_path / "none" / "out")
    before = rec.path.read_bytes()
    with pytest.raises(ExportError, match="the session itself"):
        export(rec, "csv", rec.path)
    assert rec.path.read_bytes() == before


@pytest.mark.parametrize("name", sorted(writable()))
def test_the_tables_that_a_format_names_are_those_it_takes(rec, name, tmp_path):
    tables = writable()[name].tables
    for table in tables(rec) if tables else ():
        assert export(rec, name, tmp_path / "out", table=table).stat().st_size > 0


def nothing(_file):
    raise AssertionError


TEXT = Format("text", ".txt", "", read=nothing, recognise=lambda head: 0.5 * (b"," in head))
LINES = Format("lines", ".lst", "", read=nothing, recognise=lambda head: 0.5 * (b"\n" in head))
SURE = Format("sure", ".sure", "", read=nothing, recognise=lambda head: head.startswith(b"SURE"))


@pytest.fixture
def known(monkeypatch):
    found = {each.name: each for each in (TEXT, LINES, SURE)}
    monkeypatch.setattr("workbench.formats.formats", lambda: found)
    return found


def test_files_are_recognised_by_content_then_by_name(known):
    assert set(readable()) == set(known)
    assert writable() == {}
    for content, name, expected in [
        (b"a,b", "x.lst", TEXT),
        (b"a\nb", "x.txt", LINES),
        (b"a,b\n", "x.txt", TEXT),
        (b"a,b\n", "x.lst.gz", LINES),
        (b"SURE,\n", "x.txt", SURE),
        (gzip.compress(b"SURE", mtime=0), "x", SURE),
    ]:
        file = io.BytesIO(content)
        assert recognised(file, name) == (expected.name, nothing)
        assert file.tell() == 0
    assert recognised(io.BytesIO(b""), format="lines")[0] == "lines"


def test_what_is_not_recognised(known):
    with pytest.raises(
        ImportFormatError, match=r"no format that can be read[^$]*text, lines, sure"
    ):
        recognised(io.BytesIO(b"\x7fELF"))
    with pytest.raises(ImportFormatError, match="holds nothing"):
        recognised(io.BytesIO(b""), "a.txt")
    with pytest.raises(ImportFormatError, match="'xls'"):
        recognised(io.BytesIO(b"a,b"), format="xls")


def test_what_can_only_be_read_is_not_written(rec, known, tmp_path):
    with pytest.raises(ExportError, match="'text' to write"):
        export(rec, "text", tmp_path / "out")


def test_names_tell_formats():
    for name, each in writable().items():
        assert format_of(f"a.b{each.suffix}") == name
    assert format_of("a.docx") is None
    assert format_of("csv") is None


def test_an_open_descriptor_is_written_to_and_stays_open(tmp_path):
    rec = Recording.open(synthetic.make_session(tmp_path / "s.wb", rows=200))
    expected = export(rec, "csv", tmp_path / "a.csv").read_bytes()
    told = []
    with (tmp_path / "b.csv").open("wb") as file:
        export_to(file.fileno(), rec, "csv", progress=told.append)
        file.write(b"more")
    assert (tmp_path / "b.csv").read_bytes() == expected + b"more"
    assert told[-1] == len(expected)
    ours, theirs = os.pipe()
    os.close(ours)
    with pytest.raises(BrokenPipeError):
        export_to(theirs, rec, "csv")
    os.close(theirs)
    with pytest.raises(ExportError, match="docx"):
        export_to(1, rec, "docx")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"# To display the perf.data header info, please use\n#\n#\n 1 f;g\n", "perf"),
        (b'[{"args":{"line":0},"cat":"py-spy","name":"f","ph":"B","ts":2}', "chrometrace"),
        (b'Process 7: python a.py\nPython v3.11.7 (/bin/python)\n\nThread 7 (idle): "M"\n', "dump"),
        (b'<?xml version="1.0"?><!DOCTYPE svg><svg version="1.1" width="1200">', "picture"),
    ],
)
def test_what_is_no_profile_says_what_to_record(content, what):
    with pytest.raises(
        ImportFormatError, match=rf"{what}[\s\S]*(py-spy record -f raw|perf script)"
    ):
        recognised(io.BytesIO(content))
