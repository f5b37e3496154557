from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from fake_recording import FakeRecording
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import MissingTableError, ParameterError
from workbench.frames import syscalls

CALL = st.fixed_dictionaries(
    {
        "ts": st.integers(10**18, 10**18 + 10**6),
        "name": st.sampled_from(["read", "openat", "sys_999"]),
        "errno": st.sampled_from([None, None, errno.ENOENT, errno.EAGAIN, 513, 600]),
        "latency": st.integers(0, 10**12),
        "weight": st.sampled_from([1, 1, 1, 4]),
    }
)
CALLS = st.lists(CALL, max_size=60)


@given(CALLS)
@settings(deadline=None, max_examples=60)
def test_summary_equals_pandas(calls: list[dict[str, Any]]) -> None:
    result = syscalls.summary(FakeRecording(syscalls=calls))
    assert [str(kind) for kind in result.dtypes[:4]] == ["String", "UInt64", "UInt64", "Float64"]
    assert set(result.dtypes[4:]) == {pl.Duration("ns")}
    assert sorted(result["name"]) == sorted({call["name"] for call in calls})
    assert result["total"].to_list() == sorted(result["total"].to_list(), reverse=True)
    for row in result.with_columns(pl.col(pl.Duration).cast(pl.Int64)).iter_rows(named=True):
        own = [call for call in calls if call["name"] == row["name"]]
        times = np.repeat([c["latency"] for c in own], [c["weight"] for c in own])
        failed = sum(c["weight"] for c in own if c["errno"] is not None)
        assert (row["calls"], row["errors"]) == (len(times), failed)
        assert row["error_rate"] == pytest.approx(failed / len(times))
        assert row["total"] == times.sum()
        assert row["mean"] == pytest.approx(times.mean(), abs=1, rel=1e-12)
        assert row["p50"] == np.quantile(times, 0.5, method="inverted_cdf")
        assert row["p99"] == np.quantile(times, 0.99, method="inverted_cdf")
        assert row["max"] == times.max()


@given(CALLS)
@settings(deadline=None, max_examples=40)
def test_errors_and_histogram_count_every_call(calls: list[dict[str, Any]]) -> None:
    rec = FakeRecording(syscalls=calls)
    failed = syscalls.errors(rec)
    expected: dict[tuple[str, int], int] = {}
    for call in calls:
        if call["errno"] is not None:
            key = (call["name"], call["errno"])
            expected[key] = expected.get(key, 0) + call["weight"]
    assert {(name, number): n for name, number, _, n in failed.rows()} == expected
    texts = dict(failed.select("errno", "error").rows())
    assert set(texts.items()) <= {
        (2, "ENOENT"),
        (11, "EAGAIN"),
        (513, "ERESTARTNOINTR"),
        (600, "errno 600"),
    }
    for name in (None, "read"):
        hist = syscalls.latency_histogram(rec, name)
        chosen = [call for call in calls if name in (None, call["name"])]
        assert hist["calls"].sum() == sum(call["weight"] for call in chosen)
        assert hist["low_ns"][1:].to_list() == hist["high_ns"][:-1].to_list()
        for low, high, count in hist.rows():
            inside = [c["weight"] for c in chosen if low <= c["latency"] < high]
            assert count == sum(inside)


@given(CALLS, st.integers(1, 40))
@settings(deadline=None, max_examples=60)
def test_over_time_counts_every_call_once(calls: list[dict[str, Any]], buckets: int) -> None:
    result = syscalls.over_time(FakeRecording(syscalls=calls), buckets)
    assert result["calls"].sum() == sum(call["weight"] for call in calls)
    assert len(result) <= buckets
    starts = result["ts"].cast(pl.Int64).to_list()
    if calls:
        first = min(call["ts"] for call in calls)
        assert starts[0] == first
        width = starts[1] - starts[0] if len(starts) > 1 else 10**7
        for start, count in zip(starts, result["calls"], strict=True):
            inside = [c["weight"] for c in calls if start <= c["ts"] < start + width]
            assert count == sum(inside)


def aggregated(rows: int = 3) -> FakeRecording:
    hist = [0] * 64
    hist[10] = 4
    early = {"ts": 1, "pid": 1, "nr": 0, "name": "read", "calls": 2, "errors": 0}
    late = {"ts": 2, "pid": 1, "nr": 0, "name": "read", "calls": 4, "errors": 1}
    other = {"ts": 2, "pid": 2, "nr": 0, "name": "read", "calls": 4, "errors": 0}
    sums = {"latency_sum": 6000, "latency_hist": hist}
    return FakeRecording(syscalls_agg=[late | sums, early | sums, other | sums][:rows])


def test_aggregated_session_uses_the_last_snapshot() -> None:
    rec = aggregated()
    row = syscalls.summary(rec).row(0, named=True)
    assert (row["name"], row["calls"], row["errors"]) == ("read", 8, 1)
    assert row["error_rate"] == 1 / 8
    assert row["mean"].total_seconds() * 1e9 == 1500 // 1000 * 1000  # timedelta holds µs
    assert row["p50"].total_seconds() == pytest.approx(1.5e-6, abs=1e-6)
    assert row["max"] is None
    assert syscalls.errors(rec).rows() == [("read", None, None, 1)]
    assert syscalls.latency_histogram(rec).rows() == [(1024, 2048, 8)]
    with pytest.raises(MissingTableError, match="workbench record syscalls"):
        syscalls.over_time(rec)


@pytest.mark.parametrize("rec", [FakeRecording(syscalls=[]), aggregated(0)])
def test_empty_sessions_give_empty_frames(rec: FakeRecording) -> None:
    assert syscalls.summary(rec).height == 0
    assert syscalls.errors(rec).height == 0
    assert syscalls.latency_histogram(rec).height == 0


def test_missing_table_and_bad_buckets() -> None:
    with pytest.raises(MissingTableError, match="syscalls"):
        syscalls.summary(FakeRecording(cpu=[]))
    with pytest.raises(ParameterError, match="0 slices"):
        syscalls.over_time(FakeRecording(syscalls=[]), 0)


def test_real_session(tmp_path: Path) -> None:
    synthetic = pytest.importorskip("synthetic")
    from workbench.recording import Recording

    for kinds in (("syscalls",), ("syscalls_agg",)):
        path = synthetic.make_session(tmp_path / f"{kinds[0]}.wb", kinds=kinds, rows=3000)
        truth = synthetic.truth(kinds, 3000).columns[kinds[0]]
        with Recording.open(path) as rec:
            total = syscalls.summary(rec)["calls"].sum()
            assert syscalls.latency_histogram(rec)["calls"].sum() == total
        assert total == (truth["calls"].sum() if "calls" in truth else 3000)


def test_calls_that_a_signal_interrupted_are_named():
    assert syscalls.RESTARTS[512] == "ERESTARTSYS"
    assert not set(syscalls.RESTARTS) & set(errno.errorcode)
