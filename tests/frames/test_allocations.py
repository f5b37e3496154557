"""Rows of ``memory`` by what happened, and allocations with their ends."""

from itertools import combinations

import polars as pl
import pytest
from fake_recording import FakeRecording
from frames_memory import ROWS, SECOND, recording

from workbench.errors import MissingTableError, ParameterError
from workbench.frames import allocations


def test_events_of_one_kind():
    found = allocations.events(recording(ROWS), "free", "address", "size").collect()
    assert found.select("address", "size").rows() == [(100, 10), (300, 1)]


def test_an_end_belongs_to_the_allocation_of_its_time():
    found = allocations.with_ends(recording(ROWS), "size").collect().sort("born", "pid")
    freed = found["freed"].dt.timestamp("ns")
    assert [None if t is None else t // SECOND for t in freed] == [4, None, None, 8, None]


@pytest.mark.parametrize("shares", [1, 2, 7])
def test_shares_are_the_whole(shares):
    parts = [
        allocations.with_ends(recording(ROWS), "size", share=(share, shares)).collect()
        for share in range(shares)
    ]
    whole = allocations.with_ends(recording(ROWS), "size").collect()
    assert sorted(pl.concat(parts).rows(), key=str) == sorted(whole.rows(), key=str)
    assert all(set(a["address"]).isdisjoint(b["address"]) for a, b in combinations(parts, 2))


def test_what_weights_sum():
    rows = recording(ROWS)
    sizes = {
        weight: sorted(allocations.weighed(rows, weight).collect()["size"])
        for weight in allocations.WEIGHTS
    }
    assert sizes == {
        "size": [1, 7, 10, 20, 50], "live": [7, 20, 50], "mapped": [8192], "faults": [4096],
    }  # fmt: skip
    assert allocations.MEANINGS.keys() == sizes.keys()


def test_what_cannot_be_summed():
    with pytest.raises(ParameterError, match="size, live"):
        allocations.weighed(recording(ROWS), "off")
    with pytest.raises(MissingTableError):
        allocations.events(FakeRecording(), "alloc")
