"""A held command does nothing before it is released, and never outlives its holder."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from workbench.errors import TargetError
from workbench.held import HeldCommand


@pytest.fixture
def hold():
    held = []

    def start(*words):
        held.append(HeldCommand(words))
        return held[-1]

    yield start
    for one in held:
        one.end()


def test_does_nothing_before_release(hold, tmp_path):
    mark = tmp_path / "mark"
    held = hold("touch", str(mark))
    time.sleep(0.1)
    assert held.poll() is None
    assert not mark.exists()
    held.release()
    assert held.wait(5) == 0
    assert mark.exists()


def test_further_variables(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_TEST_OLD", "1")
    script = f"echo $WORKBENCH_TEST_OLD $WORKBENCH_TEST_NEW > {tmp_path / 'told'}"
    one = HeldCommand(["sh", "-c", script], {"WORKBENCH_TEST_NEW": "2"})
    one.release()
    assert one.wait(5) == 0
    assert (tmp_path / "told").read_text() == "1 2\n"
    assert "WORKBENCH_TEST_NEW" not in os.environ


def test_keeps_its_process_id_and_arguments(hold, tmp_path):
    out = tmp_path / "out"
    words = (
        "sh",
        "-c",
        'echo $$ > "$1"; printf "%s\\n" "$2" >> "$1"',
        "x",
        str(out),
        "a  'b\" $c\n",
    )
    held = hold(*words)
    held.release()
    assert held.wait(5) == 0
    assert out.read_text() == f"{held.pid}\na  'b\" $c\n\n"
    assert held.command == words


def test_inherits_no_descriptor_of_the_gate(hold, tmp_path):
    held = hold("sh", "-c", f"ls /proc/self/fd > {tmp_path}/fds")
    held.release()
    held.wait(5)
    given = {fd for fd in os.listdir("/proc/self/fd") if inheritable(int(fd))}
    # 3 is the directory that ls reads.
    assert set((tmp_path / "fds").read_text().split()) <= given | {"3"}


def inheritable(fd):
    try:
        return os.get_inheritable(fd)
    except OSError:
        return False


@pytest.mark.parametrize(("script", "status"), [("exit 7", 7), ("kill -9 $$", -9), ("true", 0)])
def test_status_is_that_of_subprocess(hold, script, status):
    held = hold("sh", "-c", script)
    held.release()
    assert held.wait(5) == status == held.poll() == held.status


def test_wait_gives_up(hold):
    held = hold("sleep", "60")
    held.release()
    assert held.wait(0.05) is None


def test_end_terminates(hold):
    held = hold("sleep", "60")
    held.release()
    held.end()
    assert held.status == -signal.SIGTERM
    held.end()
    held.release()  # both once more: nothing happens


def test_end_kills_what_does_not_listen(hold, monkeypatch):
    monkeypatch.setattr("workbench.held.GRACE_S", 0.2)
    held = hold("sh", "-c", "trap '' TERM; while :; do sleep 0.01; done")
    held.release()
    time.sleep(0.2)  # until the trap is set
    held.end()
    assert held.status == -signal.SIGKILL


def test_end_before_release_never_begins(hold, tmp_path):
    held = hold("touch", str(tmp_path / "mark"))
    held.end()
    assert held.status is not None
    assert not (tmp_path / "mark").exists()


def test_release_of_what_somebody_killed(hold):
    held = hold("true")
    os.kill(held.pid, signal.SIGKILL)
    assert held.wait(5) == -9
    held.release()


def test_ends_with_its_holder(tmp_path):
    code = (
        "import os, sys; from workbench.held import HeldCommand\n"
        "print(HeldCommand(['touch', sys.argv[1]]).pid, flush=True); os._exit(1)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "mark"], capture_output=True, text=True
    )
    pid = int(done.stdout)
    deadline = time.monotonic() + 5
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            break  # its new parent has not reaped it yet
        time.sleep(0.01)
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize(
    "words", [(), ("no-such-program",), ("/etc/passwd",), ("/tmp",), ("true", "a\0b"), ("x\0y",)]
)
def test_what_cannot_be_started(words):
    before = os.listdir("/proc/self/fd")
    with pytest.raises(TargetError) as caught:
        HeldCommand(words)
    assert caught.value.advice or caught.value.why
    assert os.listdir("/proc/self/fd") == before


def test_too_long_a_command_line():
    with pytest.raises(TargetError, match="cannot be started") as caught:
        HeldCommand(["true", "x" * (1 << 22)])
    assert "too long" in caught.value.why
