"""The thread that names stacks: nothing that the symbolizer does loses a sample."""

import threading

import numpy as np
import pyarrow as pa
import pytest

from workbench.recorder import stacks as module
from workbench.recorder.stack_words import EXACT, Samples
from workbench.recorder.stacks import StackWorker
from workbench.schema import FRAMES, arrow_schema

RECORD = np.dtype(
    [(name, "u2") for name in ("cpu", "kernel_depth", "user_depth", "python_depth")]
    + [("pid", "u4"), ("n", "u4")]
)


class Fake:
    """A symbolizer that gives each address a frame of its own: the address, mod 1000."""

    def __init__(self):
        self.asked, self.told, self.fail = [], [], set()

    def _try(self, what):
        self.told.append(what)
        if what[0] in self.fail or what in self.fail:
            raise RuntimeError(f"{what} failed")

    def add_process(self, pid, _look, _parent):
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

    def expand(self, frames):
        self._try(("expand", 0))
        return frames, np.ones(len(frames), np.int64)

    def close(self):
        self.told.append(("close", 0))

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
    made = StackWorker()
    yield made
    made.close(5)
    assert fake.told[-1] == ("close", 0)
    assert not made._thread.is_alive()


# (pid, kernel addresses, user addresses), leaf first
PLAIN = [(7, [5, 6], [1, 2, 3]), (8, [], [1]), (7, [5], []), (7, [], []), (7, [5, 6], [1, 2, 3])]


def samples(plain=PLAIN):
    records = np.zeros(len(plain), RECORD)
    for i, (pid, kernel, user) in enumerate(plain):
        records[i] = (pid % 2, len(kernel), len(user), 0, pid, i)
    flat = [word for _, kernel, user in plain for word in (*kernel, *exact(user))]
    return Samples("cpu", make_batch, records, np.array(flat, np.uint64))


def exact(user):
    return [user[0] | int(EXACT), *user[1:]] if user else []


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
        ("expand", {0: [5, 6, 1, 2, 3], 1: [1], 2: [5], 3: [], 4: [5, 6, 1, 2, 3]}),
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
    monkeypatch.setattr(fake, "add_process", lambda *_: go.wait(10))
    worker.add_process(1)
    worker.submit(samples())
    assert worker.batches() == []
    assert worker.finish(0.01) == []  # it gives up waiting; the thread is still at it
    assert worker.unfinished("cpu")[:3].tolist() == [1, 4, 0]
    go.set()
    assert collected(worker.finish(5)) != {}
    assert not worker.unfinished("cpu").any()


def test_inlined_functions_lengthen_stacks(worker, fake):
    def expand(frames):
        counts = np.where(frames == 2, 2, np.where(frames == 5, 3, 1))
        return np.repeat(frames, counts), counts

    fake.expand = expand
    worker.submit(samples())
    deep = [5, 5, 5, 6, 1, 2, 2, 3]
    assert collected(worker.finish(5)) == {0: deep, 1: [1], 2: [5, 5, 5], 3: [], 4: deep}


def test_nothing_at_all(worker):
    worker.submit(samples([]))
    assert collected(worker.finish(5)) == {}


def test_names_give_way(worker, monkeypatch):
    worker.gives_way, begun = threading.Event(), threading.Event()
    monkeypatch.setattr(worker, "_wait_left_s", 60.0)
    monkeypatch.setattr(module, "WAIT_S", 60.0)
    wait = worker.gives_way.wait
    monkeypatch.setattr(worker.gives_way, "wait", lambda timeout: begun.set() or wait(timeout))
    worker.submit(samples())
    assert begun.wait(20)
    assert worker.batches() == []
    assert worker.unfinished("cpu").any()
    worker.gives_way.set()
    assert "cpu" in [table for table, _ in worker.finish()]
    assert worker._wait_left_s < 60


def test_names_do_not_give_way_for_ever(worker, monkeypatch):
    worker.gives_way = threading.Event()
    waited = []
    monkeypatch.setattr(worker.gives_way, "wait", waited.append)
    monkeypatch.setattr(module, "WAIT_SHARE", 0.0)
    for allowance in (0.5, 0.0, -0.1):
        worker._wait_left_s = allowance
        worker._wait()
    assert waited == [0.5]
