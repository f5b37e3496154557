"""What dies, fills up or is restarted loses nothing that was flushed, and leaves nothing behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import workbench as wb
from workbench.client import Capture, RecorderDiedWarning
from workbench.errors import WorkbenchError

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("nothing_left")]

BUSY = ["dd", "if=/dev/zero", "of=/dev/null", "bs=1", "count=1000000000"]


@pytest.fixture
def busy():
    """A process that makes system calls until it is killed."""
    with subprocess.Popen(BUSY, stderr=subprocess.DEVNULL) as process:
        yield process
        process.kill()


def wait_for(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.02)


def start(**options) -> Capture:
    return wb.capture("syscalls", wait=False, **options).start()


def rows(session):
    session.refresh()
    return session["syscalls"].num_rows if "syscalls" in session.tables else 0


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_recorder_killed_in_mid_capture(tmp_path, busy):
    capture = start(pid=busy.pid, output=tmp_path / "s.wb")
    session = capture.session
    wait_for(lambda: rows(session) > 100_000)
    os.kill(capture.recorder_pid, signal.SIGKILL)
    seen = rows(session)
    with pytest.warns(RecorderDiedWarning, match="signal 9"):
        recovered = capture.stop()
    assert recovered.state == "recovered"
    assert recovered["syscalls"].num_rows >= seen > 0
    assert wb.open(tmp_path / "s.wb").sql("select count(*) as n from syscalls")["n"][0] >= seen
    assert busy.poll() is None  # the target lives, and so does this process


def test_recorder_that_is_terminated_saves(tmp_path, busy):
    capture = start(pid=busy.pid, output=tmp_path / "s.wb")
    wait_for(lambda: capture.session and rows(capture.session) > 1000)
    os.kill(capture.recorder_pid, signal.SIGTERM)
    session = capture.wait()
    assert session.state == "complete"
    assert "signal" in session.manifest.reason
    assert (tmp_path / "s.wb").is_file()


def test_target_that_exits_ends_the_capture(tmp_path):
    with subprocess.Popen(["sleep", "3"]) as target:
        capture = start(pid=target.pid, output=tmp_path / "s.wb")
        session = capture.wait()
    assert session.manifest.reason == "the target ended"
    names = session.sql("select cast(name as varchar) as n from syscalls")["n"].to_list()
    assert names[-1] == "exit_group"


def test_exception_in_the_block_saves(tmp_path, busy):
    with (
        pytest.raises(ZeroDivisionError),
        wb.capture("syscalls", pid=busy.pid, output=tmp_path / "s.wb") as session,
    ):
        wait_for(lambda: rows(session) > 1000)
        raise ZeroDivisionError
    assert wb.open(tmp_path / "s.wb").state == "complete"


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 16 MB."""
    mount = tmp_path / "tiny"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", mount], check=True)
    yield mount
    subprocess.run(["umount", "-l", mount], check=True)


def test_full_disk_keeps_what_fits(tiny_disk, busy):
    capture = start(pid=busy.pid, output=tiny_disk / "s.wb")
    with pytest.warns(RecorderDiedWarning, match=r"[Ff]ull|space"):
        session = capture.wait()
    assert session.state == "recovered"
    assert session["syscalls"].num_rows > 10_000
    assert session["syscalls"].pandas()["pid"].unique().tolist() == [busy.pid]


CLIENT = """
import sys, time, workbench as wb
options = dict(command=sys.argv[3:]) if sys.argv[2] == "command" else dict(pid=int(sys.argv[3]))
capture = wb.capture("syscalls", wait=False, output=sys.argv[1], **options).start()
print(capture.recorder_pid, capture._held.pid if capture._held else 0, flush=True)
time.sleep(100)
"""


def client(output, how, *words):
    process = subprocess.Popen(
        [sys.executable, "-c", CLIENT, output, how, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    recorder, command = map(int, process.stdout.readline().split())
    return process, recorder, command


def test_client_killed_the_recorder_saves_and_goes(tmp_path, busy):
    process, recorder, _ = client(tmp_path / "s.wb", "pid", busy.pid)
    time.sleep(0.5)
    process.kill()
    process.communicate()
    wait_for(lambda: not alive(recorder))
    session = wb.open(tmp_path / "s.wb")
    assert session.state == "complete"
    assert "client" in session.manifest.reason
    assert session["syscalls"].num_rows > 1000
    assert busy.poll() is None


def test_client_killed_its_command_ends(tmp_path):
    process, recorder, command = client(tmp_path / "s.wb", "command", *BUSY)
    time.sleep(0.3)
    assert alive(command)
    process.kill()
    process.communicate()
    wait_for(lambda: not alive(recorder) and not alive(command))
    assert wb.open(tmp_path / "s.wb").state == "complete"


def test_both_killed_the_kernel_cleans_up(tmp_path, busy):
    process, recorder, _ = client(tmp_path / "s.wb", "pid", busy.pid)
    time.sleep(0.5)
    os.kill(recorder, signal.SIGKILL)
    process.kill()
    process.communicate()
    wait_for(lambda: not alive(recorder))
    assert wb.open(tmp_path / "s.wb").state == "recovered"


def test_notebook_kernel_restarted(tmp_path, busy):
    from jupyter_client.manager import start_new_kernel

    manager, talk = start_new_kernel(kernel_name="python3")
    try:
        code = (
            "import workbench as wb\n"
            f"capture = wb.capture('syscalls', pid={busy.pid}, output={str(tmp_path / 's.wb')!r})\n"
            "capture.start(); print(capture.recorder_pid)"
        )
        said = []
        talk.execute_interactive(code, output_hook=said.append, timeout=60)
        text = "".join(m["content"].get("text", "") for m in said if m["msg_type"] == "stream")
        recorder = int(text)
        time.sleep(0.5)
        manager.restart_kernel(now=True)
        wait_for(lambda: not alive(recorder))
    finally:
        talk.stop_channels()
        manager.shutdown_kernel(now=True)
    session = wb.open(tmp_path / "s.wb")
    assert session.state == "complete"
    assert session["syscalls"].num_rows > 1000


def test_ctrl_c_keeps_what_was_captured(tmp_path, busy):
    words = ["record", "syscalls", "--pid", str(busy.pid), "-o", str(tmp_path / "s.wb"), "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "workbench", *words], stdout=subprocess.PIPE, text=True
    )
    wait_for(lambda: (tmp_path / "s.wb" / "syscalls.arrows").exists())
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    about = json.loads(said)
    assert about["state"] == "complete"
    assert about["tables"]["syscalls"] > 1000


def test_nothing_is_left_when_loading_fails(tmp_path, busy):
    # Without the capabilities the recorder gets EPERM from the kernel.
    code = (
        "import ctypes, os, sys\n"
        "for cap in (21, 38, 39): ctypes.CDLL(None).prctl(24, cap, 0, 0, 0)\n"  # PR_CAPBSET_DROP
        "os.execv(sys.executable, [sys.executable, '-m', 'workbench', *sys.argv[1:]])"
    )
    words = ["record", "syscalls", "--pid", str(busy.pid), "-o", str(tmp_path / "s.wb")]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert done.returncode == 1
    assert "CAP_BPF" in done.stderr
    assert not (tmp_path / "s.wb").exists()


@pytest.mark.parametrize("command", [["no-such-program-here"], ["/etc/passwd"], []])
def test_commands_that_cannot_start(command, tmp_path):
    with pytest.raises(WorkbenchError):
        wb.capture("syscalls", command=command, output=tmp_path / "s.wb")
    assert list(tmp_path.iterdir()) == []


def test_exit_code_of_the_command(tmp_path):
    words = ["record", "syscalls", "-o", str(tmp_path / "s.wb"), "--quiet", "--"]
    done = subprocess.run(
        [sys.executable, "-m", "workbench", *words, "sh", "-c", "exit 7"], capture_output=True
    )
    assert done.returncode == 7
