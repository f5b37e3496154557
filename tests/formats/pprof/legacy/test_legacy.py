"""Whatever Go's tool reads is read as it does; whatever bytes come, the answer is clear."""

from __future__ import annotations

import gzip

import go_pprof
import legacy_pprof
import polars as pl
import pytest
import reading

from workbench.errors import ImportFormatError
from workbench.formats.pprof import legacy


@pytest.mark.parametrize("name", legacy_pprof.FILES)
def test_is_recognised(name):
    content = legacy_pprof.FILES[name]
    assert reading.recognised_as(content) == "pprof"
    assert reading.recognised_as(gzip.compress(content)) == "pprof"


def test_others_are_not():
    for head in (b"", b"\0" * 100, b"a profile: 5", b"heap profile", b"--- \n", b"main;a 5\n"):
        assert not legacy.recognised(head), head


@go_pprof.needs_go
@pytest.mark.parametrize("name", legacy_pprof.FILES)
def test_is_what_go_makes_of_it(name, tmp_path):
    legacy_pprof.assert_same(legacy_pprof.FILES[name], tmp_path)


@pytest.fixture(scope="module")
def by_go(tmp_path_factory):
    return go_pprof.made_by_go(tmp_path_factory.mktemp("go"))


@go_pprof.needs_go
@pytest.mark.parametrize("kind", ["heap", "allocs", "mutex", "block"])
def test_texts_of_go_are_as_its_profiles(kind, by_go, tmp_path):
    """Their comments name what the profile with ``debug=0`` names."""
    text = by_go[f"{kind}.txt"].read_bytes()
    rec = reading.session(text, tmp_path / "a.wb")
    file = rec.export("pprof", tmp_path / "a.pb.gz")
    types = ("contentions", "delay") if kind in ("mutex", "block") else go_pprof.HEAP
    for each in types:
        unit = {"delay": "ns", "contentions": "count"}.get(
            each, "B" if each.endswith("space") else "count"
        )
        assert go_pprof.top(file, each, unit) == go_pprof.top(by_go[kind], each, unit)


@go_pprof.needs_go
@pytest.mark.parametrize("kind", ["heap", "mutex", "block", "goroutine"])
def test_texts_of_go_without_comments(kind, by_go, tmp_path):
    """Of those Go's tool reads all that is there: it finds the names in the program."""
    lines = by_go[f"{kind}.txt"].read_bytes().splitlines(keepends=True)
    bare = b"".join(line for line in lines if not line.startswith(b"#"))
    legacy_pprof.assert_same(bare, tmp_path)


@go_pprof.needs_go
def test_goroutines(by_go, tmp_path):
    rec = reading.session(by_go["goroutine.txt"].read_bytes(), tmp_path / "a.wb")
    found = rec.sql("select job, step, sum(goroutine) as n from goroutine group by job, step")
    (other, labelled) = sorted(found.rows(), key=lambda row: row[0] or "")
    assert labelled == ('a "quoted" \a \x01 ü', "1", 1)
    assert other[:2] == (None, None)
    totals = {name: own for name, (own, _) in reading.self_and_total(rec, "goroutine").items()}
    assert totals["main.main.func3"] == 3  # what the runtime does below is hidden by Go
    main = rec["frames"].polars().filter(pl.col("function") == "main.main")
    assert main["file"][0].endswith("profiles.go")
    assert main["line"][0] > 90


@go_pprof.needs_go
def test_threads_without_a_stack(by_go, tmp_path):
    """As Go writes them since 1.16: its own tool refuses them."""
    rec = reading.session(by_go["threadcreate.txt"].read_bytes(), tmp_path / "a.wb")
    assert rec["threadcreate"].polars()["threadcreate"].sum() >= 1


def test_damaged():
    words = [b"0x", b"@", b"0x" + b"f" * 17, b"---", b"MAPPED_LIBRARIES:\n", b"=", b"[", b": "]
    seeds = list(legacy_pprof.FILES.values())
    files = reading.mutated(seeds, reading.CASES * 3, words)
    good, bad = reading.fuzz(reading.reader("pprof"), files)
    assert good
    assert bad


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"heap profile: 1: 2 [3: 4] @ heapother/5\n", "no known way of sampling"),
        (b"--- heapz 1 ---\nformat = java\n", "no legacy profile"),
    ],
)
def test_refused(content, why):
    with pytest.raises(ImportFormatError) as error:
        legacy.parse(content)
    assert why in str(error.value)


def test_too_large(monkeypatch):
    monkeypatch.setattr(legacy, "MAX_BYTES", 100)
    with pytest.raises(ImportFormatError, match="too large"):
        legacy.parse(legacy_pprof.HEAP)
