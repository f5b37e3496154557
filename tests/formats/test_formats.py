"""One test run over every format: written files can be read, honour selections, fail cleanly."""

from __future__ import annotations

import os

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import synthetic

from workbench.errors import ExportError, MissingTableError, StorageError
from workbench.formats import export, formats
from workbench.formats import format as contract
from workbench.recording import Recording

ROWS = 700
TRUTH = synthetic.truth(rows=ROWS)


@pytest.fixture(scope="module")
def rec(tmp_path_factory):
    path = tmp_path_factory.mktemp("formats") / "a.wb"
    return Recording.open(synthetic.make_session(path, rows=ROWS))


def test_every_file_is_a_format():
    assert {"arrow", "csv", "folded", "parquet"} <= set(formats())
    for name, item in formats().items():
        assert isinstance(item, contract.Format)
        assert item.name == name
        assert item.suffix.startswith(".")
        assert item.meaning


@pytest.mark.parametrize("name", sorted(formats()))
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


@pytest.mark.parametrize("name", sorted(formats()))
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
    with pytest.raises(ExportError, match="csv, folded"):
        export(rec, "xlsx", tmp_path / "out")
    with pytest.raises(ExportError, match="directory"):
        export(rec, "csv", tmp_path)
    with pytest.raises(StorageError):
        export(rec, "csv", tmp_path / "none" / "out")


@pytest.mark.parametrize("table", ["syscalls", "cpu", "frames", "processes", "stacks"])
def test_arrow_and_parquet_hold_the_table(rec, table, tmp_path):
    part = rec.where(pid=[1000, 2000])
    expected = part[table].arrow()
    export(part, "arrow", tmp_path / "a", table=table)
    export(part, "parquet", tmp_path / "p", table=table)
    for found in (pa.ipc.open_file(tmp_path / "a").read_all(), pq.read_table(tmp_path / "p")):
        assert found.schema.equals(expected.schema, check_metadata=True)
        assert found.to_pylist() == expected.to_pylist()


def test_csv_can_be_read_back(rec, tmp_path):
    part = rec.window(1.0, 4.0)
    export(part, "csv", tmp_path / "out")
    frame = pl.read_csv(tmp_path / "out", infer_schema_length=None)
    expected = part.events.polars()
    assert frame.columns == expected.columns
    assert frame["ret"].to_list() == expected["ret"].to_list()
    assert frame["latency"].to_list() == expected["latency"].cast(pl.Int64).to_list()
    assert frame["errno"].to_list() == expected["errno"].to_list()
    times = frame["ts"].str.to_datetime(time_unit="ns", time_zone="UTC")
    assert times.to_list() == expected["ts"].to_list()
    first = expected["args"][0].to_list()
    assert frame["args"][0] == str(first)


def test_csv_of_nothing_has_a_header(rec, tmp_path):
    export(rec.where(pid=77), "csv", tmp_path / "out", table="cpu")
    assert (tmp_path / "out").read_text() == "ts,cpu,pid,tid,comm,stack_id,weight\n"


def test_folded_stacks_are_the_truth(rec, tmp_path):
    export(rec, "folded", tmp_path / "out")
    lines = (tmp_path / "out").read_text().splitlines()
    found = {key: int(weight) for key, _, weight in (line.rpartition(" ") for line in lines)}
    expected = {}
    for key, weight in TRUTH.folded().items():
        name = key if not key.startswith(";") else "[no name]" + key
        expected[name] = expected.get(name, 0) + weight
    assert found == expected
    assert sum(found.values()) == TRUTH.columns["cpu"]["weight"].sum()
