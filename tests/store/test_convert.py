from __future__ import annotations

import pyarrow.parquet as pq
import synthetic

from workbench.store import convert
from workbench.store.stream import Stream


def test_parquet_is_compressed_dictionary_encoded_and_checksummed(tmp_path):
    path = synthetic.make_session(tmp_path / "a", rows=3000, saved=False) / "syscalls.parquet"
    group = pq.ParquetFile(path).metadata.row_group(0)
    columns = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
    assert {c.compression for c in columns.values()} == {"ZSTD"}
    assert "RLE_DICTIONARY" in columns["comm"].encodings
    assert "RLE_DICTIONARY" in columns["name"].encodings
    assert "RLE_DICTIONARY" not in columns["ts"].encodings
    assert columns["ts"].statistics.min_raw >= synthetic.START
    schema = pq.read_schema(path)
    assert schema.field("latency").metadata == {
        b"unit": b"ns",
        b"meaning": b"time between entry and exit",
    }


def test_row_groups_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(convert, "ROW_GROUP", 700)
    path = synthetic.make_session(tmp_path / "a", rows=9000, saved=False) / "cpu.parquet"
    metadata = pq.ParquetFile(path).metadata
    sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    assert max(sizes) <= 700
    assert sum(sizes) == 9000


def test_without_processes_names_are_empty(tmp_path):
    writer = synthetic.write_streams(tmp_path / "a", kinds=("cpu",), rows=10)
    writer.close()
    (tmp_path / "a" / "processes.arrows").unlink()
    decorate = convert.decorator(tmp_path / "a", "x86_64")
    entry = convert.convert(
        Stream(tmp_path / "a" / "cpu.arrows", "cpu"), decorate, tmp_path / "cpu.parquet"
    )
    assert entry["rows"] == 10
    assert set(pq.read_table(tmp_path / "cpu.parquet")["comm"].to_pylist()) == {""}
