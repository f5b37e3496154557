from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import synthetic

from workbench.errors import SessionCorruptError
from workbench.store import convert
from workbench.store.reader import open_store
from workbench.store.source import ParquetSource

SECOND = synthetic.SECOND
START = synthetic.START


@pytest.fixture(params=["stream", "parquet"])
def source(request, tmp_path, monkeypatch):
    monkeypatch.setattr(convert, "ROW_GROUP", 500)
    writer = synthetic.write_streams(tmp_path / "a", kinds=("syscalls",), rows=5000, batch_rows=500)
    if request.param == "parquet":
        writer.finish()
    return open_store(tmp_path / "a").sources["syscalls"]


def test_a_window_skips_batches_but_no_row(source):
    window = (START + 4 * SECOND, START + 5 * SECOND)
    rows = pa.Table.from_batches(source.batches(["ts"], window))["ts"].cast(pa.int64()).to_numpy()
    ts = synthetic.truth(("syscalls",), 5000).columns["syscalls"]["ts"]
    inside = (ts >= window[0]) & (ts < window[1])
    assert np.isin(ts[inside], rows).all()
    assert inside.sum() <= len(rows) < 2500
    assert not list(source.batches(None, (0, 1)))


def test_columns_in_the_order_asked_for(source):
    assert next(source.batches(["weight", "comm", "ts"])).schema.names == ["weight", "comm", "ts"]


def parquet(tmp_path, table, rows=None, **options):
    pq.write_table(table, tmp_path / "cpu.parquet", **options)
    content = pa.py_buffer((tmp_path / "cpu.parquet").read_bytes())
    return ParquetSource(tmp_path, "cpu", lambda: content, table.num_rows if rows is None else rows)


TIMES = pa.table({"ts": pa.array([1, 2], pa.timestamp("ns", "UTC"))})


def test_rows_must_be_those_of_the_manifest(tmp_path):
    assert parquet(tmp_path, TIMES).schema.names == ["ts"]
    with pytest.raises(SessionCorruptError, match="number of rows"):
        _ = parquet(tmp_path, TIMES, rows=3).schema


def test_texts_must_be_utf8(tmp_path):
    bad = pa.array([b"\xff", b"x"]).view(pa.string())
    source = parquet(tmp_path, TIMES.append_column("x", bad))
    with pytest.raises(SessionCorruptError):
        list(source.batches())


def test_a_bomb_of_rows_is_refused(tmp_path):
    ts = pa.array(np.zeros((1 << 22) + 1, np.int64)).cast(pa.timestamp("ns", "UTC"))
    source = parquet(tmp_path, pa.table({"ts": ts}), row_group_size=1 << 23)
    with pytest.raises(SessionCorruptError, match="impossible"):
        list(source.batches())


def test_many_threads_read_one_file(tmp_path):
    """As polars does with both sides of a join."""
    path = synthetic.make_session(tmp_path / "s.wb", kinds=("cpu",), rows=60_000, saved=True)
    for _ in range(5):
        source = open_store(path).sources["cpu"]
        with ThreadPoolExecutor(8) as pool:
            read = [pool.submit(lambda it: sum(b.num_rows for b in it), source.batches())
                    for _ in range(16)]  # fmt: skip
        assert [each.result() for each in read] == [60_000] * 16
