"""Slices of tables: all rows once, in order, of bounded size."""

import numpy as np
import pytest
from otlp_sessions import synthetic
from synthetic import truth

from workbench.formats.otlp.slices import chosen, integers, is_text, slices


@pytest.mark.parametrize("saved", [True, False])
@pytest.mark.parametrize("size", [7, 1000, 4096, 100_000])
def test_slices_hold_every_row_once(tmp_path, saved, size):
    rec = synthetic(tmp_path, 9_000, saved=saved)
    parts = list(slices(rec, "syscalls", "ts", "name", "latency", "absent", rows=size))
    assert all(part.num_rows == size for part in parts[:-1])
    assert 0 < parts[-1].num_rows <= size
    assert parts[0].schema.names == ["ts", "name", "latency"]
    ts = np.concatenate([integers(part, "ts") for part in parts])
    assert (ts == truth(("syscalls", "cpu", "offcpu"), 9_000).columns["syscalls"]["ts"]).all()
    named = [name for part in parts for name in part.column("name").to_pylist()]
    assert named == rec["syscalls"].polars()["name"].to_list()


def test_slices_honour_the_selection(tmp_path):
    rec = synthetic(tmp_path).where(pid=1000).window(2.0, 5.0)
    parts = list(slices(rec, "cpu", "ts", "pid", rows=100))
    assert sum(part.num_rows for part in parts) == rec["cpu"].num_rows > 0
    assert set(np.concatenate([integers(part, "pid") for part in parts])) == {1000}
    assert not list(slices(rec.where(pid=5), "cpu", "ts"))


def test_columns(tmp_path):
    (batch,) = slices(synthetic(tmp_path), "offcpu", "state", "blocked", rows=10_000)
    mask = is_text(batch, "state", "sleeping", "none")
    assert mask.tolist() == [text == "sleeping" for text in batch.column("state").to_pylist()]
    assert chosen(batch, mask).num_rows == mask.sum()
    assert chosen(batch, np.ones(batch.num_rows, bool)) is batch
    assert integers(batch, "blocked").dtype == np.int64
    (calls,) = slices(synthetic(tmp_path / "..", 5), "syscalls", "errno", rows=10)
    assert integers(calls, "errno").tolist() == [e or 0 for e in calls.column("errno").to_pylist()]
