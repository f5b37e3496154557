import os
import subprocess
import time
from pathlib import Path

import pytest

from workbench.symbols import process as process_module
from workbench.symbols.process import Pacer, Status, TracedProcess

PROC = Path("/proc")


def opened(pid=None):
    pid = pid or os.getpid()
    traced = TracedProcess.open(pid, Status.read(pid, PROC), PROC)
    traced.refresh_maps(force=True)
    return traced


def test_status_of_this_process():
    status = Status.read(os.getpid(), PROC)
    assert status.uids == {*os.getresuid()}
    assert status.inner_pid == os.getpid()
    ticks = float(Path("/proc/uptime").read_text().split()[0]) * os.sysconf("SC_CLK_TCK")
    assert 0 < status.start_time <= ticks + 1


def test_status_of_a_name_with_parentheses(tmp_path):
    code = "import time; open('/proc/self/comm', 'w').write(') 1 (x')"
    code += "; print(flush=True); time.sleep(60)"
    child = subprocess.Popen(["python3", "-c", code], stdout=subprocess.PIPE)
    try:
        child.stdout.readline()
        assert (
            abs(Status.read(child.pid, PROC).start_time - Status.read(os.getpid(), PROC).start_time)
            < 1e6
        )
    finally:
        child.kill()
        child.communicate()
    with pytest.raises(OSError, match="No such"):
        Status.read(child.pid, PROC)


def test_current_or_another_process_of_the_same_id():
    traced = opened()
    assert traced.is_current()
    other = TracedProcess.open(os.getpid(), Status(1, frozenset(), 1), PROC)
    assert not other.is_current()
    assert not other.refresh_maps(force=True)
    assert other.maps.at() is None
    assert not TracedProcess.open(2**22 + 1, None, PROC).is_current()
    assert other.number != traced.number


def test_readings_are_paced(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(process_module.time, "monotonic", lambda: now[0])
    pacer = Pacer()
    assert pacer.due()
    pacer.done(100.0)
    assert not pacer.due()
    now[0] = 100.11
    assert pacer.due()
    now[0] = 105.0
    pacer.done(104.0)
    now[0] = 114.9
    assert not pacer.due()
    now[0] = 115.1
    assert pacer.due()


def test_maps_are_read_again_when_due():
    traced = opened()
    calls = []
    traced.maps.refresh = lambda: bool(calls.append(1)) or True
    assert traced.refresh_maps()
    assert not traced.refresh_maps()
    time.sleep(process_module.REFRESH_SECONDS + 0.05)
    assert traced.refresh_maps()
    assert len(calls) == 2
    traced.close()
    assert not traced.refresh_maps(force=True)


def test_jit_frames_are_forgotten_when_the_map_grows(monkeypatch):
    traced = opened()
    snapshot = traced.maps.at()
    traced.memo(snapshot).update({1: 10, 2: 20})
    traced.remember_jit(snapshot, [2, 3])
    monkeypatch.setattr(traced.perfmap, "refresh", lambda: True)
    assert traced.refresh_perfmap(force=True)
    assert traced.memo(snapshot) == {1: 10}
    assert not traced.refresh_perfmap()


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(process_module, "MAX_MEMO", 3)
    monkeypatch.setattr(process_module, "MAX_UNRESOLVED", 2)
    traced = opened()
    snapshot = traced.maps.at()
    traced.memo(snapshot).update(dict.fromkeys(range(5), 0))
    assert traced.memo(snapshot) == {}
    for address in range(5):
        traced.remember_unresolved(address, address, "[anon]")
    assert len(traced.unresolved) == 2
