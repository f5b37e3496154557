"""Which processes are known to the kernel side, and when they are looked at."""

import os

import numpy as np
import pytest

from workbench.errors import MapError
from workbench.pystacks import processes as module
from workbench.pystacks.interpreter import Interpreter, PythonStatus, has_ended
from workbench.pystacks.layout import TABLE
from workbench.pystacks.processes import DELAYS, PythonProcesses

PROCESS = np.dtype([("runtime", "u8"), ("thread_key", "u4"), ("frame_code", "u4")])


class FakeMap(dict):
    """A map of the kernel; full with three entries."""

    def update(self, key, value):
        if len(self) >= 3 and key not in self:
            raise MapError("full")
        self[key] = value

    def delete(self, key):
        return self.pop(key, None) is not None


class World:
    def __init__(self):
        self.now, self.found, self.asked = 100.0, {}, []
        self.ended = set()

    def find(self, pid):
        self.asked.append(pid)
        status = self.found.get(pid, PythonStatus.NONE)
        layout = TABLE[3, 12] if status == PythonStatus.OK else None
        return Interpreter(pid, status, "", "3.9.1", 0x1000 + pid, 2, layout)


@pytest.fixture
def world():
    return World()


@pytest.fixture
def maps():
    return [FakeMap(), FakeMap()]


@pytest.fixture
def processes(world, maps):
    ended = lambda pid: pid in world.ended  # noqa: E731
    return PythonProcesses(maps, PROCESS, world.find, lambda: world.now, ended)


def key(pid):
    return pid.to_bytes(4, "little")


def test_a_process(processes, world, maps, monkeypatch):
    world.found[7] = PythonStatus.OK
    processes.watch(7)
    assert processes.of(7) is None
    assert processes.poll() == 1
    assert processes.of(7).runtime == 0x1007
    assert maps[0] == maps[1]
    value = np.frombuffer(maps[0][key(7)], PROCESS)[0]
    layout = TABLE[3, 12]
    assert value["runtime"] == 0x1007
    assert value["thread_key"] in (layout.thread_id, layout.thread_native_id)
    assert processes.poll() == 0
    assert world.asked == [7]
    processes.forget(7)
    assert maps == [{}, {}]
    assert processes.of(7) is None


@pytest.mark.parametrize(("machine", "field"), [("x86_64", "thread_id"), ("aarch64", "native")])
def test_how_threads_are_told(processes, world, maps, monkeypatch, machine, field):
    monkeypatch.setattr(module.platform, "machine", lambda: machine)
    world.found[7] = PythonStatus.OK
    processes.watch(7)
    processes.poll()
    value = np.frombuffer(maps[0][key(7)], PROCESS)[0]
    layout = TABLE[3, 12]
    wanted = layout.thread_id if field == "thread_id" else layout.thread_native_id
    assert value["thread_key"] == wanted


def test_processes_are_looked_at_again_until_python_is_there(processes, world):
    processes.watch(7)
    times = []
    for step in range(700):
        world.now = 100 + step / 100
        processes.poll()
        times += [step / 100] * (len(world.asked) - len(times))
    assert len(times) == len(DELAYS)
    assert times == sorted(times)
    assert times[0] == 0
    assert times[-1] > 5
    world.found[8] = PythonStatus.UNREADABLE
    processes.watch(8)
    processes.poll()
    world.found[8] = PythonStatus.OK
    world.now += 1
    assert processes.poll() == 1


def test_versions_that_are_not_supported_are_told_once(processes, world, maps):
    world.found[7] = PythonStatus.VERSION
    processes.watch(7)
    for _ in range(50):
        world.now += 1
        processes.poll()
    assert world.asked == [7]
    assert processes.problems == {"Python 3.9.1: a Python version that is not supported": 1}
    assert maps == [{}, {}]


def test_a_process_that_ends_while_it_is_looked_at_is_no_problem(processes, world):
    world.found = {7: PythonStatus.LAYOUT, 8: PythonStatus.LAYOUT, 9: PythonStatus.VERSION}
    world.ended = {8, 9}
    for pid in (7, 8, 9):
        processes.watch(pid)
        processes.poll()
    assert sorted(processes.problems.values()) == [1, 1]  # the version is told by the file
    assert has_ended(2**22 + 1)
    assert not has_ended(os.getpid())


def test_a_process_is_counted_once_although_it_calls_execve(processes, world):
    world.found = {7: PythonStatus.VERSION, 8: PythonStatus.FREE_THREADED}
    for pid in (7, 7, 8, 7, 8):
        processes.watch(pid)
        processes.poll()
    assert list(processes.problems.values()) == [1, 1]
    processes.forget(7)  # its number may be another one's now
    processes.watch(7)
    processes.poll()
    assert sorted(processes.problems.values()) == [1, 2]


def test_forks_and_execs(processes, world, maps):
    world.found[7] = PythonStatus.OK
    processes.watch(7)
    processes.poll()
    processes.fork(7, 8)
    assert np.frombuffer(maps[0][key(8)], PROCESS)[0]["runtime"] == 0x1007
    assert world.asked == [7]
    processes.watch(8)  # its execve
    assert list(maps[0]) == [key(7)]
    processes.poll()
    assert processes.of(8) is None
    processes.fork(8, 9)  # of one that is still being looked at
    processes.poll()
    assert world.asked == [7, 8, 9]
    processes.fork(1000, 10)
    processes.poll()
    assert 10 not in world.asked


def test_processes_that_go_are_not_looked_at(processes, world):
    processes.watch(7)
    processes.forget(7)
    processes.forget(7)
    assert processes.poll() == 0
    processes.watch(7)
    processes.watch(7)
    processes.poll()
    assert world.asked == [7]


def test_a_full_map_is_told(processes, world, maps):
    for pid in range(1, 6):
        world.found[pid] = PythonStatus.OK
        processes.watch(pid)
    assert processes.poll() == 3
    assert processes.problems == {"no room for more Python processes": 2}
    assert processes.of(5) is None


def test_a_poll_is_bounded(processes, world):
    for pid in range(1, 100):
        processes.watch(pid)
    processes.poll()
    assert len(world.asked) == module.MAX_LOOKS
    processes.poll()
    processes.poll()
    processes.poll()
    assert len(set(world.asked)) == 99


def test_python_that_comes_late(processes, world, maps):
    processes.watch(7)
    for delay in DELAYS:
        world.now += delay
        processes.poll()
    asked = len(world.asked)
    assert asked == len(DELAYS)
    world.now += 1000
    assert processes.poll() == 0
    world.found[7] = PythonStatus.OK
    processes.again(7)
    processes.again(7)
    assert processes.poll() == 1
    assert len(world.asked) == asked + 1
    assert key(7) in maps[0]
    processes.again(7)  # it is known
    world.found[8] = PythonStatus.VERSION
    processes.watch(8)
    processes.poll()
    processes.again(8)  # and so is that this one is of no use
    processes.poll()
    assert len(world.asked) == asked + 2
