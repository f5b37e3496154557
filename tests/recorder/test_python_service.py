"""Python frames in the recorder: found by a thread, learnt, merged with native ones."""

import threading
import time
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from workbench.kinds import OBJECTS
from workbench.probe.objects import Object
from workbench.recorder import python_service as module
from workbench.recorder.python_service import PythonService
from workbench.recorder.stack_words import Parts
from workbench.symbols.frame_table import FrameTable


class Processes:
    """Processes that keep what they are told."""

    def __init__(self, *_):
        self.told, self.polls, self.problems = [], 0, {"Python 3.15: unsupported": 2}

    def watch(self, pid):
        self.told.append(("watch", pid))
        if pid == 13:
            raise ValueError("an odd process")

    def again(self, pid):
        self.told.append(("again", pid))

    def forget(self, pid):
        self.told.append(("forget", pid))

    def poll(self):
        self.polls += 1

    def of(self, pid):
        return "found" if pid == 9 else None


@pytest.fixture
def service(monkeypatch):
    monkeypatch.setattr(module, "PythonProcesses", Processes)
    monkeypatch.setattr(module, "RingBuffer", lambda *_: SimpleNamespace(close=lambda: None))
    maps = {name: SimpleNamespace(fd=-1, max_entries=4096) for name in module.SHARED}
    with Object(OBJECTS / "cpu.bpf.o") as obj:
        made = PythonService(SimpleNamespace(maps=maps, layout=obj.layout), FrameTable())
    yield made
    made.close()
    assert not made._thread.is_alive()


def test_the_thread_looks_as_long_as_processes_wait(service):
    service.process_started(5)
    service.process_started(13)
    service.process_ended(5)
    assert service.wait(5)
    assert service._processes.told == [("watch", 5), ("watch", 13), ("forget", 5)]
    polls = service._processes.polls
    time.sleep(10 * module.POLL_S)
    assert service._processes.polls > polls
    other, failed = service.problems()
    assert other == "Python 3.15: unsupported (2 processes, without Python frames)"
    assert "an odd process" in failed


def test_processes_whose_stacks_show_an_interpreter_are_looked_at_again(service):
    service.image_met(3, "/usr/lib/libpython3.11.so.1.0")
    service.image_met(4, "/usr/lib/python3/_x.cpython-311-x86_64-linux-gnu.so")
    native = np.array([0, 3, 3, 4, 3, 0x7FFF], np.uint64) << np.uint64(48)
    native[4] |= np.uint64(1 << 63)  # a kernel address
    depths, none = np.array([2, 1, 1, 2]), np.zeros((0, 2), np.uint64)
    in_kernel = np.array([False] * 4 + [True, False])
    parts = Parts(native, depths, in_kernel, none, np.zeros(4, np.int64))
    service.look_again(parts, np.array([7, 9, 8, 6], np.uint32))
    assert service.wait(5)
    assert service._processes.told == [("again", 7)]


def test_frames_of_python_take_the_place_of_the_loop(service):
    names = ["main", "_PyEval_EvalFrameDefault", "leaf"]
    frames = {"frame_id": [1, 2000, 3], "function": names}
    service.learn(pa.RecordBatch.from_pydict(frames))
    service._frames = SimpleNamespace(
        decode=lambda pids, _words: SimpleNamespace(
            ids=np.array([50, 51]), is_entry=np.array([False, True]), pids=pids
        )
    )
    native = np.array([3, 2000, 1, 3], np.uint32)
    depths, python = np.array([3, 1]), np.array([2, 0])
    parts = Parts(native.astype(np.uint64), depths, np.zeros(4, bool), np.zeros((2, 2)), python)
    pids = np.array([7, 8], np.uint32)
    merged, depths = service.merge(native, parts, pids, np.ones(2, bool))
    assert merged.dtype == np.uint32
    assert (merged.tolist(), depths.tolist()) == ([3, 50, 51, 1, 3], [4, 1])


def test_code_objects_come_as_bytes(service):
    memory = np.arange(20, dtype=np.uint8)
    span = SimpleNamespace(data=memory, offsets=np.array([0, 8]), lengths=np.array([4, 2]))
    service._ring.drain = lambda: [span]
    assert service.drain() == [b"\0\1\2\3", b"\x08\x09"]
    service.add_codes([b"too short"])


def test_the_end_waits_for_the_process_that_is_looked_at_and_no_other(service):
    """What is found is written into maps, which are gone after the end."""
    begun, go, done = threading.Event(), threading.Event(), threading.Event()
    service._processes.watch = lambda _pid: (begun.set(), go.wait(20))
    service._ring.close = done.set
    service.process_started(5)
    service.process_started(6)
    assert begun.wait(20)
    closing = threading.Thread(target=service.close)
    closing.start()
    assert not done.wait(0.1)
    begun.clear()
    go.set()
    closing.join(20)
    assert done.is_set()
    assert not begun.is_set()  # the second process was not looked at
