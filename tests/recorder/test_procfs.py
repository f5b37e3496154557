"""Processes as /proc shows them: this one, a child, one that has gone, and made-up ones."""

import os
import subprocess
import sys
import threading
import time

import pytest

from workbench.recorder import procfs

GONE = 1 << 22  # PID_MAX_LIMIT: no process has it


@pytest.fixture
def child():
    code = "import sys, time; print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code, "a b"], stdout=subprocess.PIPE) as made:
        made.stdout.readline()
        yield made
        made.kill()


def test_a_child(child):
    assert procfs.parent(child.pid) == os.getpid()
    assert procfs.tgid(child.pid) == child.pid
    assert procfs.executable(child.pid) == os.path.realpath(sys.executable)
    assert procfs.command_line(child.pid).endswith(" 'a b'")
    assert procfs.comm(child.pid).startswith("python")
    assert procfs.threads(child.pid) == [child.pid]
    assert child.pid in procfs.processes()
    assert child.pid in procfs.descendants(os.getpid())
    assert procfs.descendants(child.pid) == []
    assert procfs.cgroup(child.pid) == procfs.cgroup(os.getpid())
    assert procfs.alive(child.pid)
    child.kill()
    deadline = time.monotonic() + 5
    while procfs.alive(child.pid):  # then it is a zombie, until the fixture waits for it
        assert time.monotonic() < deadline
    assert child.pid in procfs.processes()
    assert procfs.executable(child.pid) == procfs.command_line(child.pid) == ""


def test_grandchildren_are_descendants():
    script = "sleep 60 & echo $!; wait"
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, text=True) as shell:
        grandchild = int(shell.stdout.readline())
        assert grandchild in procfs.descendants(os.getpid())
        assert procfs.descendants(shell.pid) == [grandchild]
        os.kill(grandchild, 9)


def test_what_has_gone_is_empty():
    assert procfs.comm(GONE) == procfs.executable(GONE) == procfs.command_line(GONE) == ""
    assert procfs.cgroup(GONE) == ""
    assert procfs.parent(GONE) == procfs.tgid(GONE) == 0
    assert procfs.threads(GONE) == procfs.descendants(GONE) == []
    assert not procfs.alive(GONE)
    assert procfs.real_path(GONE, "/bin/x") == "/bin/x"


def test_threads():
    go = threading.Event()
    thread = threading.Thread(target=go.wait)
    thread.start()
    try:
        assert {os.getpid(), thread.native_id} <= set(procfs.threads(os.getpid()))
        assert procfs.tgid(thread.native_id) == os.getpid()
    finally:
        go.set()
        thread.join()


def test_real_path_follows_links_only_while_they_are_true(tmp_path, child):
    link = tmp_path / "python"
    link.symlink_to(sys.executable)
    assert procfs.real_path(child.pid, str(link)) == os.path.realpath(sys.executable)
    assert procfs.real_path(child.pid, "/bin/sh") == "/bin/sh"  # it has called execve since
    assert procfs.real_path(child.pid, "/no/such") == "/no/such"


@pytest.mark.parametrize(
    ("raw", "text"),
    [("", ""), ("ls\0", "ls"), ("a b\0c\0", "'a b' c"), ("x\0$y'\0", "x '$y'\"'\"''")],
)
def test_quote(raw, text):
    assert procfs.quote(raw) == text


def test_names_that_could_mislead(tmp_path, monkeypatch):
    monkeypatch.setattr(procfs, "PROC", tmp_path)
    for pid, parent, state in ((7, 1, "S"), (8, 7, "Z"), (9, 8, "X")):
        (tmp_path / str(pid)).mkdir()
        stat = f"{pid} (a) S 99 (b\n) {state} {parent} 0 0\n"
        (tmp_path / str(pid) / "stat").write_text(stat)
    (tmp_path / "7" / "comm").write_bytes(b"\xff) R\n")
    (tmp_path / "7" / "cgroup").write_text("1:cpu:/old\n0::/new.slice\n")
    (tmp_path / "8" / "cgroup").write_text("1:cpu:/old\n")
    (tmp_path / "self").mkdir()
    assert [procfs.parent(pid) for pid in (7, 8, 9)] == [1, 7, 8]
    assert procfs.descendants(7) == [8, 9]
    assert procfs.comm(7) == "\N{REPLACEMENT CHARACTER}) R"
    assert (procfs.cgroup(7), procfs.cgroup(8)) == ("/new.slice", "")
    assert [procfs.alive(pid) for pid in (7, 8, 9)] == [True, False, False]
    assert procfs.processes() == [7, 8, 9]
