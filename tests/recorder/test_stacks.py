"""Stacks: equal ones have one number, and nothing that the symbolizer does loses a sample."""

import threading

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.recorder import stacks as module
from workbench.recorder.stacks import Samples, StackTable, StackWorker
from workbench.schema import FRAMES, STACKS, arrow_schema

STACK = st.lists(st.integers(0, 5) | st.integers(0, 2**32 - 1), max_size=12)
BATCHES = st.lists(st.lists(STACK, max_size=15), max_size=5)


def number(table, stacks):
    frames = np.array([f for stack in stacks for f in stack], np.uint32)
    return table.ids(frames, np.array([len(s) for s in stacks], np.int64)).tolist()


@given(BATCHES)
def test_equal_lists_have_equal_ids_and_different_lists_different_ones(batches):
    table, known, written = StackTable(), {}, {}
    for stacks in batches:
        for stack, given_id in zip(stacks, number(table, stacks), strict=True):
            assert known.setdefault(tuple(stack), given_id) == given_id
        taken = table.take()
        if taken is not None:
            assert taken.schema == arrow_schema(STACKS)
            taken.validate(full=True)
            for row in taken.to_pylist():
                assert written.setdefault(row["stack_id"], tuple(row["frame_ids"])) is not None
        # What a sample names is written by now, once, and complete.
        assert {v: k for k, v in known.items()} == written
    assert len(set(known.values())) == len(known)
    assert sorted(written) == list(range(len(known)))
    assert table.take() is None


@given(st.lists(st.integers(0, 3), min_size=1, max_size=200), st.integers(0, 10**6), st.data())
def test_one_frame_makes_a_difference(stack, extra, draw):
    at = draw.draw(st.integers(0, len(stack) - 1))
    changed = [*stack[:at], stack[at] + 4 + extra, *stack[at + 1 :]]
    ids = number(StackTable(), [stack, changed, stack[::-1], [*stack, 0], [0, *stack], stack])
    assert ids[0] == ids[5] != ids[1]
    assert (ids[2] == ids[0]) is (stack[::-1] == stack)
    assert len({ids[0], ids[3]}) == 2
    assert (ids[3] == ids[4]) is ([*stack, 0] == [0, *stack])


def test_many_deep_stacks_are_told_apart():
    rng = np.random.default_rng(3)
    stacks = rng.integers(0, 50, (20_000, 254)).astype(np.uint32)
    ids = StackTable().ids(stacks.reshape(-1), np.full(20_000, 254))
    assert len(set(ids.tolist())) == 20_000


RECORD = np.dtype(
    [("pid", "u4"), ("kernel_depth", "u2"), ("user_depth", "u2"), ("n", "u4"), ("cpu", "u2")]
)


class Fake:
    """A symbolizer that gives each address a frame of its own: the address, mod 1000."""

    def __init__(self):
        self.asked, self.told, self.fail = [], [], set()

    def _try(self, what):
        self.told.append(what)
        if what[0] in self.fail or what in self.fail:
            raise RuntimeError(f"{what} failed")

    def add_process(self, pid):
        self._try(("add", pid))

    def process_exited(self, pid):
        self._try(("exited", pid))

    def retry_unresolved(self):
        self._try(("retry", 0))

    def kernel_frames(self, addresses, *, leaf):
        self._try(("kernel", 0))
        self.asked.append((0, addresses.tolist(), leaf.tolist()))
        return (addresses % 1000).astype(np.uint32)

    def frames_for(self, pid, addresses, *, leaf):
        self._try(("user", pid))
        self.asked.append((pid, addresses.tolist(), leaf.tolist()))
        return (addresses % 1000).astype(np.uint32)

    def new_frames(self):
        self._try(("new", 0))
        row = {"frame_id": 1, "function": "f", "module": "", "build_id": "", "offset": 0}
        return pa.RecordBatch.from_pylist([row | {"kind": "native"}], arrow_schema(FRAMES))


@pytest.fixture
def fake(monkeypatch):
    made = Fake()
    monkeypatch.setattr(module, "Symbolizer", lambda: made)
    return made


def make_batch(records, ids):
    return pa.RecordBatch.from_arrays(
        [pa.array(records["n"]), pa.array(records["pid"]), pa.array(ids)], ["n", "pid", "stack_id"]
    )


@pytest.fixture
def worker(fake):
    made = StackWorker("cpu", make_batch)
    yield made
    made.finish(5)
    assert not made._thread.is_alive()


# (pid, kernel addresses, user addresses), leaf first
PLAIN = [(7, [5, 6], [1, 2, 3]), (8, [], [1]), (7, [5], []), (7, [], []), (7, [5, 6], [1, 2, 3])]


def samples(plain=PLAIN):
    records = np.zeros(len(plain), RECORD)
    for i, (pid, kernel, user) in enumerate(plain):
        records[i] = (pid, len(kernel), len(user), i, pid % 2)
    flat = [address for _, kernel, user in plain for address in (*kernel, *user)]
    return Samples(records, np.array(flat, np.uint64))


def collected(batches):
    """Stack of each sample by its number, as frame ids."""
    stacks, found = {}, {}
    for table, batch in batches:
        if table == "stacks":
            stacks |= {row["stack_id"]: row["frame_ids"] for row in batch.to_pylist()}
        elif table == "cpu":
            found |= {row["n"]: stacks[row["stack_id"]] for row in batch.to_pylist()}
    return found


def test_samples_get_their_stacks_after_the_stacks_are_told(worker, fake):
    worker.add_process(7)
    worker.submit(samples())
    worker.exited(7)
    batches = worker.finish(5)
    assert [table for table, _ in batches] == ["frames", "stacks", "cpu", "frames"]
    assert collected(batches) == {0: [5, 6, 1, 2, 3], 1: [1], 2: [5], 3: [], 4: [5, 6, 1, 2, 3]}
    ids = batches[2][1]["stack_id"].to_pylist()
    assert ids[0] == ids[4]
    assert worker.failure == ""
    assert [x for x in fake.told if x[0] in ("add", "exited", "retry")] == [
        ("add", 7), ("exited", 7), ("retry", 0)]  # fmt: skip


def test_which_addresses_are_where_it_was(worker, fake):
    worker.submit(samples())
    worker.finish(5)
    assert (0, [5, 6, 5, 5, 6], [True, False, True, True, False]) in fake.asked
    assert (7, [1, 2, 3, 1, 2, 3], [True, False, False] * 2) in fake.asked
    assert (8, [1], [True]) in fake.asked


@pytest.mark.parametrize(
    ("fail", "left"),
    [
        (("user", 7), {0: [5, 6, 0, 0, 0], 1: [1], 2: [5], 3: [], 4: [5, 6, 0, 0, 0]}),
        ("kernel", {0: [0, 0, 1, 2, 3], 1: [1], 2: [0], 3: [], 4: [0, 0, 1, 2, 3]}),
        ("new", {0: [5, 6, 1, 2, 3], 1: [1], 2: [5], 3: [], 4: [5, 6, 1, 2, 3]}),
        ("add", {0: [5, 6, 1, 2, 3], 1: [1], 2: [5], 3: [], 4: [5, 6, 1, 2, 3]}),
        ("exited", {0: [5, 6, 1, 2, 3], 1: [1], 2: [5], 3: [], 4: [5, 6, 1, 2, 3]}),
        ("retry", {0: [5, 6, 1, 2, 3], 1: [1], 2: [5], 3: [], 4: [5, 6, 1, 2, 3]}),
    ],
)
def test_a_symbolizer_that_raises_loses_no_sample(worker, fake, fail, left):
    fake.fail.add(fail)
    worker.add_process(7)
    worker.exited(9)
    worker.submit(samples())
    assert collected(worker.finish(5)) == left
    assert "failed" in worker.failure


def test_the_recorder_never_waits_for_it(worker, fake, monkeypatch):
    go = threading.Event()
    monkeypatch.setattr(fake, "add_process", lambda _pid: go.wait(10))
    worker.add_process(1)
    worker.submit(samples())
    assert worker.batches() == []
    assert worker.finish(0.01) == []  # it gives up waiting; the thread is still at it
    assert worker.unfinished[:3].tolist() == [1, 4, 0]
    go.set()
    worker._thread.join(5)
    assert not worker.unfinished.any()
    assert collected(worker.batches()) != {}


def test_nothing_at_all(worker):
    worker.submit(samples([]))
    assert collected(worker.finish(5)) == {}
