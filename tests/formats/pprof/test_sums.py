"""Sums are the same however the rows are cut."""

from __future__ import annotations

import profile_pb
import pytest
import synthetic

from workbench.formats import export
from workbench.formats.pprof import sums
from workbench.formats.pprof.values import valued
from workbench.importing import import_file
from workbench.recording import Recording


@pytest.fixture(scope="module")
def rec(tmp_path_factory):
    path = tmp_path_factory.mktemp("sums") / "a.wb"
    return Recording.open(synthetic.make_session(path, kinds=("cpu", "offcpu"), rows=700))


def test_stacks_are_rows_of_frames(rec):
    known = valued(rec, "cpu")
    rows, frames, flat, offsets = sums.summed(rec, known, ordered=False)
    assert rows["samples"].sum() == known.query.collect()["samples"].sum()
    assert rows.select("stack", "comm", "pid", "tid").is_duplicated().sum() == 0
    assert len(offsets) - 1 == rows["stack"].max() + 1 == rows["stack"].n_unique()
    assert 0 <= flat.min() <= flat.max() < len(frames)
    assert frames["function"][-1] == "[no stack]"


def test_slices_give_the_same_bytes(rec, tmp_path, monkeypatch):
    small = tmp_path / "small"
    small.write_bytes(profile_pb.small().SerializeToString())
    imported = Recording.open(import_file(small, tmp_path / "small.wb"))
    for one, table in ((rec, "cpu"), (rec, "offcpu"), (rec.where(pid=77), "cpu"), (imported, None)):
        whole = export(one, "pprof", tmp_path / "a", table=table).read_bytes()
        for rows in (1, 100):
            with monkeypatch.context() as patch:
                patch.setattr(sums, "_SLICE", rows)
                assert export(one, "pprof", tmp_path / "b", table=table).read_bytes() == whole
