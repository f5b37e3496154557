from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from workbench.store.lock import LOCK_NAME, is_live, remove_lock, start_time, write_lock


def test_own_process_is_live(tmp_path):
    assert not is_live(tmp_path)
    write_lock(tmp_path)
    assert is_live(tmp_path)
    remove_lock(tmp_path)
    assert not is_live(tmp_path)


@pytest.mark.parametrize("change", [{"start": 1}, {"boot_id": "x"}, {"pid": 1 << 40}, {"pid": "1"}])
def test_reused_pid_or_other_boot_is_dead(tmp_path, change):
    write_lock(tmp_path)
    path = tmp_path / LOCK_NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert not is_live(tmp_path)


def test_dead_process_is_dead_also_as_zombie(tmp_path):
    code = "import sys, pathlib; from workbench.store.lock import write_lock\n"
    code += "write_lock(pathlib.Path(sys.argv[1]))"
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not is_live(tmp_path)
    child.wait()
    assert not is_live(tmp_path)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b"[" * 10_000])
def test_damaged_lock_is_none(tmp_path, content):
    (tmp_path / LOCK_NAME).write_bytes(content)
    assert not is_live(tmp_path)


def test_start_time_of_nobody():
    assert start_time(1 << 30) is None
