"""Allocations, as Go's profiles of the heap have them."""

from __future__ import annotations

from pathlib import Path

import frames_memory
import go_pprof
import polars as pl
import pytest

from workbench.formats import export
from workbench.formats.pprof.allocations import allocations
from workbench.recording import Recording

DATASET = Path(__file__).parents[3] / "datasets" / "shop-memory.wb"


def sums(found):
    rows = pl.concat(each.collect() for each in (found.query, *found.more))
    return {one.name: rows[one.column].sum() for one in found.types}


@pytest.mark.parametrize("at_once", [1 << 22, 4, 1])
def test_memory(at_once, monkeypatch):
    monkeypatch.setattr("workbench.formats.pprof.allocations._AT_ONCE", at_once)
    rec = frames_memory.recording(frames_memory.ROWS)
    assert sums(allocations(rec)) == {
        "alloc_objects": 7, "alloc_space": 108, "inuse_objects": 3, "inuse_space": 77,
    }  # fmt: skip
    rec.manifest.kinds = {"memory": {"parts": ["heap", "mappings", "faults"], "sample_bytes": 512}}
    found = allocations(rec)
    assert sums(found) == {
        "alloc_objects": 7, "alloc_space": 108, "inuse_objects": 3, "inuse_space": 77,
        "mapped_space": 8192, "faulted_space": 4096,
    }  # fmt: skip
    assert [one.unit for one in found.types] == ["count", "bytes", "count", "bytes"] + ["bytes"] * 2
    assert found.default == "alloc_space"
    assert found.period == ("space", "bytes", 512)
    assert len(found.more) == len(frames_memory.ROWS) // at_once
    label = found.labels[-1]
    assert (label.key, label.unit) == ("bytes", "bytes")
    rows = pl.concat(each.collect() for each in (found.query, *found.more))
    assert sorted(rows[label.column].to_list()) == [1, 7, 10, 20, 50, 4096, 8192]


def test_memory_in_shares_gives_the_same_bytes(tmp_path, monkeypatch):
    rec = Recording.open(DATASET)
    whole = export(rec, "pprof", tmp_path / "a").read_bytes()
    monkeypatch.setattr("workbench.formats.pprof.allocations._AT_ONCE", rec["memory"].num_rows // 5)
    assert export(rec, "pprof", tmp_path / "b").read_bytes() == whole


@go_pprof.needs_go
def test_go_finds_large_blocks(tmp_path):
    rec = Recording.open(DATASET)
    file = export(rec, "pprof", tmp_path / "a.pb.gz")
    rows = allocations(rec).rows.filter(pl.col("block") >= 65_536).collect()
    said = go_pprof.pprof(file, "-top", "-unit=B", "-tagfocus=bytes=64kb:")
    total = f"of {rows['alloc_space'].sum()}B total"
    whole = sum(allocations(rec).rows.collect()["alloc_space"])
    found = int(said.split("Showing nodes accounting for ")[1].split("B,")[0])
    assert 0 < found <= rows["alloc_space"].sum() < whole
    assert total in said or f"of {whole}B total" in said
