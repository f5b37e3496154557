"""Cumulative snapshots: the last row of each key, and its histograms."""

import numpy as np
import polars as pl
import pytest
from fake_recording import FakeRecording

from workbench.errors import MissingTableError
from workbench.frames.counted import histograms, last_rows, quantiles


def hist(**slots):
    made = [0] * 64
    for slot, count in slots.items():
        made[int(slot[1:])] = count
    return made


ROWS = [
    {"ts": 2, "pid": 1, "device": "a", "op": "read", "requests": 5, "queued_hist": hist(_10=5)},
    {"ts": 1, "pid": 1, "device": "a", "op": "read", "requests": 3, "queued_hist": hist(_10=3)},
    {"ts": 1, "pid": 2, "device": "a", "op": "read", "requests": 1, "queued_hist": hist(_20=1)},
    {"ts": 1, "pid": 2, "device": "b", "op": "read", "requests": 2, "queued_hist": hist(_3=2)},
]
KEYS = ("pid", "device", "op")


def rows_of(rows):
    filled = [{"service_hist": hist(), "queued_hist": hist(), **row} for row in rows]
    return last_rows(
        FakeRecording(block_agg=filled), "block_agg", KEYS, ["requests", "queued_hist"]
    )


def test_the_last_row_of_a_key_counts():
    assert sorted(rows_of(ROWS).select("pid", "requests").rows()) == [(1, 5), (2, 1), (2, 2)]
    with pytest.raises(MissingTableError, match="block_agg"):
        last_rows(FakeRecording(cpu=[]), "block_agg", KEYS, [])


def test_histograms_are_summed():
    keys, counts = histograms(rows_of(ROWS), ["device"], "queued_hist")
    found = dict(zip(keys["device"].cast(pl.String), counts, strict=True))
    assert {k: {i: int(v[i]) for i in np.flatnonzero(v)} for k, v in found.items()} == {
        "a": {10: 5, 20: 1},
        "b": {3: 2},
    }


def test_histograms_are_summed_by_key():
    rows = pl.DataFrame(
        {"k": ["b", None, "b"], "h": [np.eye(64, dtype=np.uint64)[i] for i in (3, 5, 3)]},
        schema={"k": pl.String, "h": pl.Array(pl.UInt64, 64)},
    )
    groups, counts = histograms(rows, ["k"], "h")
    assert groups["k"].to_list() == ["b", None]
    assert [np.flatnonzero(row).tolist() for row in counts] == [[3], [5]]
    assert counts.max() == 2
    found = quantiles(rows, ["k"], "h").with_columns(pl.col("p50", "p99").cast(pl.Int64))
    assert 8 <= found["p50"][0] <= 16
    assert 32 <= found["p99"][1] <= 64


def test_quantiles_lie_in_their_bucket():
    found = quantiles(rows_of(ROWS), ["device"], "queued_hist", "queued_").sort("device")
    p50, p99 = (found[f"queued_p{q}"].cast(pl.Int64).to_list() for q in (50, 99))
    assert 1024 <= p50[0] < 2048
    assert 8 <= p50[1] < 16
    assert 1 << 20 <= p99[0] < 1 << 21
    assert quantiles(rows_of([]), ["device"], "queued_hist", "queued_").height == 0
