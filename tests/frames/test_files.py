"""Files: sums and quantiles of known rows, from single calls and from sums of the kernel."""

import polars as pl
import pytest
from fake_recording import FakeRecording

from workbench.errors import MissingTableError, ParameterError
from workbench.frames import files


def row(path="/a", op="read", ret=10, latency=100, **more):
    return {"path": path, "type": "regular", "op": op, "ret": ret, "latency": latency} | {
        "errno": -ret if ret < 0 else None,
        "pid": 1,
        "comm": "app",
        **more,
    }


EVENTS = [
    row(op="open", ret=3, latency=50, ts=1),
    *[row(ret=10, latency=100 * i, ts=i) for i in range(1, 101)],
    row(op="read", ret=-11, ts=50),
    row(op="write", ret=4, latency=7, pid=2, comm="log", ts=60),
    row("/b", "write", ret=5000, ts=70),
    row("/b", "sync", ret=0, latency=9, ts=80),
    row("/b", "close", ret=0, ts=100),
    *[row("/missing", "open", ret=-2, ts=100, type="none")] * 2,
]


@pytest.fixture
def rec():
    return FakeRecording(files=EVENTS)


def test_by_file(rec):
    found = files.by_file(rec)
    assert found["path"].to_list() == ["/b", "/a", "/missing"]
    a = found.row(1, named=True)
    assert (a["operations"], a["opens"], a["reads"], a["writes"]) == (103, 1, 101, 1)
    assert (a["read_bytes"], a["written_bytes"], a["errors"]) == (1000, 4, 1)
    times = found.select(pl.col(pl.Duration).cast(pl.Int64)).row(1, named=True)
    assert times["read_time"] == 100 * 5050 + 100
    assert (times["open_time"], times["write_time"]) == (50, 7)
    assert (times["read_p50"], times["read_p99"], times["sync_p50"]) == (5000, 9900, None)
    assert found.row(2, named=True)["errors"] == 2


def test_by_process(rec):
    found = files.by_process(rec)
    assert found.select("pid", "comm", "operations", "written_bytes").rows() == [
        (1, "app", 107, 5000),
        (2, "log", 1, 4),
    ]


def test_failures(rec):
    assert files.failures(rec).rows() == [
        ("/missing", "open", 2, "ENOENT", 2),
        ("/a", "read", 11, "EAGAIN", 1),
    ]


def test_over_time_and_heatmap(rec):
    slices = files.over_time(rec, 3)
    assert slices["calls"].sum() == len(EVENTS)
    assert slices["bytes"].sum() == 1000 + 4 + 5000
    assert files.latency_heatmap(rec, "sync")["low_ns"].to_list() == [8]
    assert files.latency_heatmap(rec)["count"].sum() == 101
    with pytest.raises(ParameterError, match="mmap"):
        files.latency_heatmap(rec, "mmap")


def summed(path_id, path, reads, slot, ts=2, pid=1):
    hist = [0] * 64
    hist[slot] = reads
    none = [0] * 64
    return {
        "ts": ts,
        "pid": pid,
        "comm": "app",
        "path_id": path_id,
        "path": path,
        "type": "regular",
        "operations": reads,
        "reads": reads,
        "read_bytes": 10 * reads,
        "read_sum": 1000 * reads,
        "read_hist": hist,
        "write_hist": none,
        "sync_hist": none,
    }


def test_sums_of_the_kernel():
    rows = [summed(1, "/a", 4, 10), summed(1, "/a", 2, 10, ts=1), summed(2, "/a", 1, 20, pid=2)]
    rec = FakeRecording(files_agg=rows)
    found = files.by_file(rec)
    assert found.select("path", "operations", "reads", "read_bytes").rows() == [("/a", 5, 5, 50)]
    times = found.select(pl.col(pl.Duration).cast(pl.Int64)).row(0, named=True)
    assert times["read_time"] == 5000
    assert 1024 <= times["read_p50"] < 2048
    assert 1 << 20 <= times["read_p99"] < 1 << 21
    assert times["write_p50"] is None
    assert files.by_process(rec).select("pid", "reads").rows() == [(1, 4), (2, 1)]
    with pytest.raises(MissingTableError, match="'files'"):
        files.failures(rec)


def test_empty_and_missing():
    assert files.by_file(FakeRecording(files=[])).height == 0
    assert files.failures(FakeRecording(files=[])).height == 0
    with pytest.raises(MissingTableError, match="workbench record files"):
        files.by_file(FakeRecording(cpu=[]))
