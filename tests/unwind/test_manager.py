"""The thread that loads tables: what it loads, when it looks again, what it throws out."""

import os
import shutil
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from workbench.errors import MapError, ObjectFormatError
from workbench.unwind import manager as module
from workbench.unwind.images import VDSO
from workbench.unwind.manager import UnwindManager

ROWS = np.arange(100, dtype=np.uint64)


class Maps:
    """Maps that keep what they are given."""

    def __init__(self):
        self.loaded, self.removed, self.times, self.fail = {}, [], {}, None
        self.named, self.puts = [], []
        self.busy = self.closed = False

    def name(self, number, _key):
        self.named.append(number)

    def put(self, tables):
        self.puts.append(len(tables))
        if self.fail:
            raise self.fail
        self.loaded |= {table.number: table for table in tables}

    def finish(self):
        assert not self.closed

    def close(self):
        self.closed = True

    def remove(self, tables):
        self.removed += [number for number, _ in tables]
        for number, _ in tables:
            del self.loaded[number]

    def used(self):
        return {number: self.times.get(number, 1 << 31) for number in self.loaded}


@pytest.fixture
def maps():
    return Maps()


@pytest.fixture
def make(maps):
    made = []

    def make(load=lambda _elf: ROWS, **options):
        names = {}
        manager = UnwindManager(
            maps, load, lambda n, found: names.update({n: found.mapping.path}), **options
        )
        made.append(manager)
        return manager, names

    yield make
    for manager in made:
        manager.close(5)
        assert not manager._thread.is_alive()


@pytest.fixture
def sleeper():
    with subprocess.Popen(["sleep", "60"]) as process:
        deadline = time.monotonic() + 60
        # clock_nanosleep() on x86-64 and arm64: all that it maps is mapped.
        while Path(f"/proc/{process.pid}/syscall").read_text().split()[0] not in ("230", "115"):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield process.pid
        process.kill()


def mapped():
    return Path("/proc/self/maps").read_text().splitlines()


def open_files():
    return len(os.listdir("/proc/self/fd"))


def test_images_are_numbered_announced_and_loaded_once(make, maps, sleeper):
    manager, names = make()
    before = open_files()
    for _ in range(3):
        manager.process_started(sleeper)
    assert manager.wait(10)
    assert set(maps.loaded) == set(names) == set(range(1, len(names) + 1))
    assert {os.path.realpath(shutil.which("sleep")), VDSO} <= set(names.values())
    assert len(set(names.values())) == len(names)
    assert manager.stats.rows == 100 * len(names)
    manager.process_started(2**22 + 1)
    manager.image_missing(np.array([sleeper, sleeper], np.uint32))
    assert manager.wait(10)
    assert len(names) == manager.stats.images == manager.stats.loaded
    manager.close(5)  # it looks once more after a while
    assert open_files() <= before


def test_a_table_waits_for_others_only_where_it_would_wait_anyway(make, maps, sleeper):
    for _ in range(2):
        manager, names = make()
        manager.process_started(sleeper)
        assert manager.wait(10)
    maps.puts.clear()
    maps.busy = True
    manager, names = make()
    manager.process_started(sleeper)
    assert manager.wait(10)
    assert maps.puts == [len(names)]
    assert len(names) > 2


def test_a_library_that_comes_later(make, tmp_path):
    manager, names = make()
    code = f"import ctypes, time; time.sleep(0.1); ctypes.CDLL({str(tmp_path / 'own.so')!r})"
    library = next(line.split()[-1] for line in mapped() if "libm.so" in line)
    shutil.copy(library, tmp_path / "own.so")
    with subprocess.Popen(["python3", "-c", code + "; time.sleep(60)"]) as process:
        manager.process_started(process.pid)
        deadline = time.monotonic() + 10
        while not any(name.endswith("own.so") for name in names.values()):
            assert time.monotonic() < deadline
            time.sleep(0.02)
            manager.image_missing(np.array([process.pid], np.uint32))
        process.kill()


def test_stacks_that_lack_images_do_not_make_it_read_without_end(make, monkeypatch, sleeper):
    manager, _ = make()
    looks = []
    monkeypatch.setattr(module, "images_of", lambda pid, *_: looks.append(pid) or [])
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        manager.image_missing(np.array([sleeper], np.uint32))
        time.sleep(0.001)
    assert manager.wait(10)
    assert 2 <= len(looks) <= 6  # 20, 40, 80, 160, 320 ms


def test_many_short_processes_do_not_keep_it_busy(make, monkeypatch, sleeper):
    manager, _ = make()
    manager.process_started(sleeper)
    assert manager.wait(10)
    looks = []
    monkeypatch.setattr(module, "images_of", lambda *_: looks.append(time.sleep(0.02)) or [])
    for pid in range(1000):
        manager.process_started(pid)
    assert manager.wait(10)
    assert len(looks) < 60  # half a second of 20 ms each, and a tenth of the time
    manager.image_missing(np.array([sleeper], np.uint32))
    assert manager.wait(10)
    assert looks


def test_the_least_used_make_room(make, maps, monkeypatch, sleeper):
    maps.busy = True  # else it makes room in steps,
    monkeypatch.setattr(module, "AGAIN_S", ())  # and again for the sleeper meanwhile
    manager, names = make(budget=100 * 100)
    manager.process_started(sleeper)
    assert manager.wait(10)
    count = len(names)
    maps.times = {number: 1000 - number for number in names}  # the last one for the longest time
    manager._budget = 100 * (count + 1)
    own = {line.split()[-1] for line in mapped() if " r-xp " in line and "/" in line}
    new = sorted(own - set(names.values()))[:3]
    manager.prepare(new)
    assert manager.wait(10)
    assert set(maps.removed) == {count, count - 1}
    assert manager.stats.evicted == 2
    assert manager.stats.rows <= manager._budget
    manager.image_missing(np.array([sleeper], np.uint32))  # those that went are met again
    assert manager.wait(10)
    assert {count, count - 1} <= set(maps.loaded)
    assert len(set(names)) == len(names) == count + 3  # with the numbers that they had


def test_failures_are_told_and_not_repeated(make, maps, sleeper):
    def load(elf):
        raise ObjectFormatError(f"{elf.name} is damaged")

    manager, names = make(load)
    manager.process_started(sleeper)
    assert manager.wait(10)
    assert manager.stats.malformed == len(names) == len(maps.loaded)
    assert all(len(table.rows) == 0 for table in maps.loaded.values())
    maps.fail = MapError("no memory")
    manager.process_started(os.getpid())
    assert manager.wait(10)
    failures, images = manager.stats.failures, manager.stats.images
    assert failures > 0
    assert "no memory" in manager.stats.last_failure
    manager.image_missing(np.array([os.getpid()], np.uint32))
    assert manager.wait(10)
    assert (manager.stats.failures, manager.stats.images) == (failures, images)


def test_an_error_does_not_end_the_thread(make, sleeper):
    def load(_elf):
        raise ZeroDivisionError

    manager, _ = make(load)
    manager.process_started(sleeper)
    assert manager.wait(10)
    assert "ZeroDivisionError" in manager.stats.last_failure


def test_paths_that_cannot_be_mapped(make, tmp_path):
    manager, names = make()
    (tmp_path / "empty").touch()
    manager.prepare(["/nonexistent", str(tmp_path), str(tmp_path / "empty")])
    assert manager.wait(10)
    assert set(names.values()) <= {VDSO}
    assert manager.stats.failures == 0


def test_a_table_that_is_read_when_it_ends_is_not_loaded(make, maps, sleeper):
    """The maps are gone then: their object was closed."""
    begun, go = threading.Event(), threading.Event()

    def load(_elf):
        begun.set()
        assert go.wait(20)
        return ROWS

    manager, _ = make(load)
    assert manager.idle.is_set()
    manager.process_started(sleeper)
    assert begun.wait(20)
    assert not manager.idle.is_set()
    manager.close(0)
    assert manager._thread.is_alive()
    maps.fail = AssertionError("used after the end")
    go.set()
    manager._thread.join(20)
    assert manager.idle.is_set()
    assert not maps.loaded
    assert not manager.stats.failures
