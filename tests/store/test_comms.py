from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import synthetic
from hypothesis import given
from hypothesis import strategies as st

from workbench.store.comms import CommIndex

NAMES = ["", "a", "b", "c"]
ROWS = st.lists(
    st.tuples(st.integers(1, 6), st.integers(0, 20), st.integers(1, 3)), min_size=0, max_size=30
)
EVENTS = st.lists(
    st.tuples(st.integers(1, 8), st.integers(1, 8), st.integers(-2, 22)), min_size=0, max_size=60
)


def plain(rows, tid, pid, ts):
    """The rule of the session format, row by row."""
    for thread in (tid, pid):
        mine = sorted((row for row in rows if row[0] == thread), key=lambda row: row[1])
        if mine:
            before = [row for row in mine if row[1] <= ts]
            return (before[-1] if before else mine[0])[2]
    return 0


@pytest.mark.parametrize("offset", [0, (1 << 32) - 10], ids=["direct", "searched"])
@given(rows=ROWS, events=EVENTS)
def test_lookup_equals_the_plain_rule(rows, events, offset):
    tid, ts, code = (np.array(column) for column in (zip(*rows, strict=True) if rows else [[]] * 3))
    index = CommIndex(
        (tid + offset).astype(np.uint32), ts.astype(np.int64), code.astype(np.int32), NAMES
    )
    tids, pids, times = (
        np.array(column) for column in (zip(*events, strict=True) if events else [[]] * 3)
    )
    found = index.lookup(
        (tids + offset).astype(np.uint32),
        times.astype(np.int64),
        (pids + offset).astype(np.uint32),
    )
    assert found.tolist() == [plain(rows, *event) for event in events]


def test_from_batches_of_the_table_processes():
    index = CommIndex.from_batches(synthetic.side_batches()["processes"])
    assert index.values[0] == ""
    times = synthetic.START + np.array([0, 1_200_000_000, 1_500_000_000, 9 * synthetic.SECOND])
    codes = index.lookup(np.full(4, 2000, np.uint32), times)
    assert [index.values[c] for c in codes] == ["bash", "bash", "python3", "job"]


def test_empty_index_knows_nobody():
    codes = CommIndex.empty().lookup(np.array([1, 2], np.uint32), np.array([0, 1]))
    assert codes.tolist() == [0, 0]


def test_null_names_are_empty():
    batch = pa.RecordBatch.from_pydict(
        {
            "tid": pa.array([1], pa.uint32()),
            "ts": pa.array([0], pa.timestamp("ns", "UTC")),
            "comm": pa.array([None], pa.string()),
        }
    )
    index = CommIndex.from_batches([batch])
    assert index.values[index.lookup(np.array([1], np.uint32), np.array([5]))[0]] == ""
