"""Processes of a script whose tree, arguments and ends are known."""

import json
import os
import shlex
import subprocess
import sys
import time

import polars as pl
import pytest

import workbench as wb
from workbench.frames import exec as frames

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("nothing_left")]

SCRIPT = r"""
import json, os, signal, sys, threading, time
def now(): return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
told = {}
def child(name, run):
    start = now()
    pid = os.fork()
    if not pid:
        try: run()
        finally: os._exit(99)
    status = os.waitpid(pid, 0)[1]
    told[name] = [pid, os.getpid(), status, now() - start]
def failing():
    for path in ("/no/such/program", "/etc/passwd"):
        try: os.execv(path, ["x y", "", "z"])
        except OSError: pass
    os._exit(3)
def threaded():
    threading.Thread(target=lambda: os.execv("/bin/sh", ["sh", "-c", "exit 4"])).start()
    time.sleep(60)
def nested():
    child("grandchild", lambda: os._exit(1))
    os.write(w, json.dumps(told["grandchild"]).encode() + b"\n")
    os._exit(2)
r, w = os.pipe()
child("plain", lambda: (time.sleep(0.1), os._exit(7)))
child("program", lambda: os.execv("/bin/sh", ["sh", "-c", "exit 5", "a b", "", "ü"]))
child("failing", failing)
child("killed", lambda: os.kill(os.getpid(), signal.SIGKILL))
child("threaded", threaded)
child("many", lambda: os.execv("/bin/true", ["true", *(["0123456789"] * 1000)]))
child("twice", lambda: os.execv("/bin/sh", ["sh", "-c", "exec /bin/true"]))
child("nested", nested)
told["grandchild"] = json.loads(os.read(r, 999))
print(json.dumps({"me": os.getpid(), "told": told}))
"""


def capture(tmp_path, **options):
    command = [sys.executable, "-c", SCRIPT]
    return wb.capture("exec", command=command, output=tmp_path / "s.wb", **options)


def check_losses(session):
    losses = session.losses.filter(kind="exec")
    assert losses["delivered"].sum() == losses["produced"].sum() == session["exec"].num_rows


@pytest.mark.parametrize("transport", ["ring", "perf"])
def test_tree_arguments_and_ends(tmp_path, capfd, transport):
    session = capture(tmp_path, transport=transport)
    said = json.loads(capfd.readouterr().out)
    me, told = said["me"], said["told"]
    tree = frames.tree(session)
    check_losses(session)
    # The target may be over before its own exit is seen.
    assert tree["pid"][0] == me
    assert tree["depth"][0] == 0
    assert shlex.split(tree["cmdline"][0]) == [sys.executable, "-c", SCRIPT]
    assert set(tree["pid"]) == {me, *(row[0] for row in told.values())}
    for name, (pid, parent, status, elapsed) in told.items():
        (row,) = tree.filter(pid=pid).iter_rows(named=True)
        assert row["ppid"] == parent, name
        assert row["depth"] == (2 if name == "grandchild" else 1)
        wanted = (None, status & 0x7F) if status & 0x7F else (status >> 8, None)
        assert (row["exit_status"], row["exit_signal"]) == wanted, name
        assert 0 < row["duration"].total_seconds() * 1e9 <= elapsed + 1000
    order = tree["pid"].to_list()
    assert order.index(told["grandchild"][0]) == order.index(told["nested"][0]) + 1
    by_name = {name: tree.row(order.index(row[0]), named=True) for name, row in told.items()}
    assert by_name["plain"]["duration"].total_seconds() >= 0.1
    assert by_name["plain"]["programs"] == 0
    assert by_name["plain"]["cmdline"] is None
    assert shlex.split(by_name["program"]["cmdline"]) == ["sh", "-c", "exit 5", "a b", "", "ü"]
    assert by_name["killed"]["exit_signal"] == 9
    assert by_name["twice"]["programs"] == 2
    assert by_name["twice"]["filename"] == "/bin/true"
    assert (by_name["failing"]["programs"], by_name["failing"]["failed"]) == (0, 2)


def test_what_failed(tmp_path, capfd):
    session = capture(tmp_path)
    pid = json.loads(capfd.readouterr().out)["told"]["failing"][0]
    failed = session["exec"].polars().filter(pl.col("event") == "failed", pid=pid).sort("ts")
    assert failed["filename"].to_list() == ["/no/such/program", "/etc/passwd"]
    assert failed["errno"].to_list() == [2, 13]
    assert [shlex.split(text) for text in failed["cmdline"]] == [["x y", "", "z"]] * 2
    errors = dict(frames.failures(session).select("filename", "error").iter_rows())
    assert errors["/no/such/program"] == "ENOENT"
    assert errors["/etc/passwd"] == "EACCES"


def test_a_thread_that_calls_exec_becomes_the_process(tmp_path, capfd):
    session = capture(tmp_path)
    pid = json.loads(capfd.readouterr().out)["told"]["threaded"][0]
    (row,) = (
        session["exec"].polars().filter(pl.col("event") == "exec", pid=pid).iter_rows(named=True)
    )
    assert row["tid"] == pid
    assert row["by_tid"] > pid
    many = session["exec"].polars().filter(cut=1)["cmdline"].to_list()
    assert len(many) == 1
    words = shlex.split(many[0])
    assert words[:3] == ["true", "0123456789", "0123456789"]
    assert len(many[0]) == pytest.approx(4096, abs=8)


def test_without_what_failed(tmp_path, capfd):
    session = capture(tmp_path, failed=False)
    assert set(session["exec"].polars()["event"].cast(pl.String)) == {"fork", "exec", "exit"}
    assert "exec_failed" not in session.overhead["program"].to_list()


@pytest.mark.parametrize("by", ["pid", "comm"])
def test_exits_of_processes_that_were_there_before(tmp_path, by):
    name = f"test-{os.getpid()}"
    code = f"""import os
open("/proc/self/comm", "w").write("{name}")
if os.fork(): os.wait()
else: input()"""
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as child:
        time.sleep(0.5)
        target = {"pid": child.pid} if by == "pid" else {"comm": name}
        with wb.capture("exec", output=tmp_path / "s.wb", **target):
            child.communicate(b"\n")
            time.sleep(0.3)
    session = wb.open(tmp_path / "s.wb")
    ends = session["exec"].polars().filter(pl.col("event") == "exit")
    inner = ends.filter(ppid=child.pid)
    assert inner.select("exit_code").rows() == [(0,)]
    assert inner["duration"][0].total_seconds() > 0.4  # since before the capture
