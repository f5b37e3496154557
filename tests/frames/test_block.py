"""Block requests: sums and quantiles of known rows, from events and from counts."""

import polars as pl
import pytest
from fake_recording import FakeRecording

from workbench.errors import MissingTableError, ParameterError
from workbench.frames import block


def row(device="vda", op="read", size=4096, queued=100, service=1000, **more):
    return {
        "device": device,
        "op": op,
        "bytes": size,
        "queued": queued,
        "service": service,
        **more,
    }


EVENTS = [
    *[row(service=1000 * i, ts=i, pid=7, comm="dd") for i in range(1, 101)],
    row(op="write", size=65536, failed=1, ts=101, pid=8, comm="kv"),
    row(device="vdb", op="flush", size=0, ts=50, pid=7, comm="dd"),
]


def counts():
    queued, service = [0] * 64, [0] * 64
    queued[6], service[12] = 10, 10
    last = {
        "ts": 2,
        "pid": 7,
        "comm": "dd",
        "device": "vda",
        "op": "read",
        "size_class": 12,
        "requests": 10,
        "failures": 1,
        "bytes": 40960,
        "queued_sum": 1000,
        "service_sum": 50000,
        "queued_hist": queued,
        "service_hist": service,
    }
    first = last | {"ts": 1, "requests": 4}
    small = last | {"size_class": 9, "bytes": 512 * 10}
    return FakeRecording(block_agg=[last, first, small])


@pytest.fixture
def rec():
    return FakeRecording(block=EVENTS)


def test_by_device(rec):
    found = block.by_device(rec)
    assert found.select("device", "op", "requests", "failures", "bytes").rows() == [
        ("vda", "read", 100, 0, 409600),
        ("vda", "write", 1, 1, 65536),
        ("vdb", "flush", 1, 0, 0),
    ]
    times = found.select(pl.col(pl.Duration).cast(pl.Int64)).row(0, named=True)
    assert times["service"] == 1000 * 5050
    assert (times["service_p50"], times["service_p99"]) == (50_000, 99_000)
    assert (times["queued"], times["queued_p50"]) == (10_000, 100)


def test_by_size_and_by_process(rec):
    sizes = block.by_size(rec)
    assert sizes.select("op", "size_class").rows() == [("read", 12), ("write", 16), ("flush", 0)]
    people = block.by_process(rec)
    assert people.columns[:4] == ["pid", "comm", "device", "op"]
    assert people.select("pid", "comm", "op").rows()[1] == (8, "kv", "write")


def test_counts_of_the_kernel():
    found = block.by_device(counts())
    assert found.select("requests", "failures", "bytes").rows() == [(20, 2, 46080)]
    times = found.select(pl.col(pl.Duration).cast(pl.Int64)).row(0, named=True)
    assert (times["queued"], times["service"]) == (2000, 100_000)
    assert 64 <= times["queued_p50"] < 128
    assert 4096 <= times["service_p99"] <= 8192
    assert block.by_size(counts())["size_class"].to_list() == [12, 9]
    assert block.by_process(counts())["comm"].to_list() == ["dd"]
    with pytest.raises(MissingTableError, match="'block'"):
        block.over_time(counts())


def test_over_time_and_heatmap(rec):
    slices = block.over_time(rec, 2)
    assert slices["requests"].sum() == len(EVENTS)
    assert slices["bytes"].sum() == 409600 + 65536
    assert slices["ts"].n_unique() == 2
    assert block.latency_heatmap(rec, "queued", 4)["low_ns"].unique().to_list() == [64]
    assert block.latency_heatmap(rec)["count"].sum() == len(EVENTS)
    with pytest.raises(ParameterError, match="no time 'wait'"):
        block.latency_heatmap(rec, "wait")


def test_empty_and_missing():
    assert block.by_device(FakeRecording(block=[])).height == 0
    with pytest.raises(MissingTableError, match="workbench record block"):
        block.by_device(FakeRecording(cpu=[]))
