"""`wb.capture` without a kernel: what it refuses, what it hands over, what it leaves behind."""

import os
import time
from pathlib import Path

import pytest
from fake_recorder import told_spec

from workbench import client as module
from workbench.client import CaptureProblemWarning, RecorderDiedWarning, capture
from workbench.errors import (
    NotPermittedError,
    ParameterError,
    RecorderError,
    SessionNotFoundError,
    StorageError,
    TargetError,
    UnknownKindError,
)
from workbench.session import Session

pytestmark = pytest.mark.usefixtures("place")
ME = {"pid": os.getpid()}
SLEEP = {"command": ["sleep", "0.1"]}


@pytest.mark.parametrize(
    ("kinds", "options", "error"),
    [
        ("nothing", ME, UnknownKindError),
        (["cpu", 7], ME, UnknownKindError),
        ("", ME, ParameterError),
        ([], ME, ParameterError),
        (5, ME, ParameterError),
        (None, ME, ParameterError),
        ([["cpu"]], ME, ParameterError),
        ({"cpu": None}, ME, ParameterError),
        ({"cpu": {"hz": "99"}}, ME, ParameterError),
        ("cpu", {}, ParameterError),
        ("cpu", ME | SLEEP, ParameterError),
        ("cpu", ME | {"hz": 0}, ParameterError),
        ("cpu", ME | {"hz": 10_001}, ParameterError),
        ("cpu", ME | {"hz": 99.5}, ParameterError),
        ("cpu", ME | {"hz": True}, ParameterError),
        ("cpu", ME | {"kernel_stacks": 1}, ParameterError),
        ("cpu", ME | {"aggregate": True}, ParameterError),
        ("syscalls", ME | {"syscalls": 5}, ParameterError),
        ("syscalls", ME | {"syscalls": [5]}, ParameterError),
        ("cpu", {"pid": 0}, ParameterError),
        ("cpu", {"pid": -1}, ParameterError),
        ("cpu", {"pid": True}, ParameterError),
        ("cpu", {"pid": "1"}, ParameterError),
        ("cpu", {"command": ""}, TargetError),
        ("cpu", {"command": []}, TargetError),
        ("cpu", {"command": 5}, ParameterError),
        ("cpu", {"command": ["sleep", 1]}, ParameterError),
        ("cpu", {"command": "sh -c 'open"}, ParameterError),
        ("cpu", {"command": "no-such-program x"}, TargetError),
        ("cpu", {"comm": ""}, ParameterError),
        ("cpu", {"comm": "x" * 16}, ParameterError),
        ("cpu", {"comm": "ö" * 8}, ParameterError),
        ("cpu", {"comm": 5}, ParameterError),
        ("cpu", {"cgroup": 5}, ParameterError),
        ("cpu", ME | {"duration": 0}, ParameterError),
        ("cpu", ME | {"duration": -1}, ParameterError),
        ("cpu", ME | {"duration": float("nan")}, ParameterError),
        ("cpu", ME | {"duration": float("inf")}, ParameterError),
        ("cpu", ME | {"duration": "5"}, ParameterError),
        ("cpu", ME | {"ring_bytes": 5000}, ParameterError),
        ("cpu", ME | {"ring_bytes": 2048}, ParameterError),
        ("cpu", ME | {"ring_bytes": 1 << 31}, ParameterError),
        ("cpu", ME | {"ring_bytes": 4096.0}, ParameterError),
        ("cpu", ME | {"transport": "pigeon"}, ParameterError),
        ("cpu", ME | {"overhead": None}, ParameterError),
        ("cpu", ME | {"output": 5}, ParameterError),
        ("cpu", ME | {"output": "/no/such/place/s.wb"}, StorageError),
    ],
)
def test_what_makes_no_sense_is_refused_and_leaves_nothing(place, kinds, options, error):
    with pytest.raises(error) as caught:
        capture(kinds, **options)
    assert type(caught.value) is error
    assert list((place / "tmp").rglob("*.wb")) == []
    assert not (place / "spec.json").exists()


def test_parameters_go_to_the_kinds_that_have_them(place):
    made = capture(["cpu", "syscalls"], **ME, hz=7, syscalls="read", output=place / "s.wb")
    assert made.spec.kinds["cpu"]["hz"] == 7
    assert made.spec.kinds["syscalls"] == {
        "syscalls": ("read",),
        "aggregate": False,
        "stacks": False,
    }
    assert not (place / "s.wb").exists()
    assert "not started" in repr(made)
    both = capture({"cpu": {"hz": 5}, "syscalls": {"aggregate": True}}, **ME).spec.kinds
    assert (both["cpu"]["hz"], both["syscalls"]["aggregate"]) == (5, True)
    assert list(capture(" cpu, syscalls ,", **ME).spec.kinds) == ["cpu", "syscalls"]


def test_a_command_runs_to_its_end(place):
    words = f"sh -c 'echo x > {place}/ran; exit 7'"
    made = capture("syscalls", command=words, output=place / "s.wb", wait=False).start()
    pid = told_spec(place)["target"]["pid"]
    session = made.wait()
    assert made.exit_code == 7
    assert (place / "ran").read_text() == "x\n"
    assert isinstance(session, Session)
    assert session["syscalls"].num_rows == 300
    assert told_spec(place)["target"] | {"pid": pid, "held": True} == told_spec(place)["target"]
    assert told_spec(place)["target"]["command"] == ["sh", "-c", f"echo x > {place}/ran; exit 7"]
    assert made.stop() is made.wait() is session  # once more: nothing happens


def test_paths_are_words_of_a_command(place):
    made = capture("syscalls", command=[Path("/bin/true")], output=place / "s.wb")
    assert made.state == "complete"


def test_a_duration_ends_it_and_what_still_runs(place):
    begin = time.monotonic()
    made = capture("syscalls", command=["sleep", "60"], duration=0.1, wait=False).start()
    session = made.wait()
    assert time.monotonic() - begin < 10
    assert made.exit_code == -15
    assert session.manifest.reason == "the duration is over"


def test_as_a_block(place):
    with capture("syscalls", **ME, output=place / "s.wb") as session:
        assert session.state == "recording"
        while "syscalls" not in session.tables or session["syscalls"].num_rows < 300:
            session.refresh()
    assert session.state == "complete"
    assert session.path == place / "s.wb"


def test_stopped_within_its_block(place):
    made = capture("syscalls", **ME, output=place / "s.wb")
    with made as session:
        assert "running" in repr(made)
        assert made.stop() is session
    assert session.state == "complete"
    assert "ended" in repr(made)
    with pytest.raises(ParameterError, match="already"):
        made.start()


@pytest.mark.parametrize("method", ["stop", "wait"])
def test_what_was_not_started_cannot_end(place, method):
    with pytest.raises(ParameterError, match="not been started"):
        getattr(capture("cpu", **ME), method)()


def ended(pid):
    deadline = time.monotonic() + 5
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline, "still runs"
        time.sleep(0.01)


@pytest.mark.parametrize(("how", "error"), [("error", NotPermittedError), ("early", RecorderError)])
def test_a_failing_start_leaves_nothing(place, monkeypatch, how, error):
    monkeypatch.setenv("FAKE_RECORDER", how)
    with pytest.raises(error):
        capture("syscalls", command=["sleep", "60"])
    ended(told_spec(place)["target"]["pid"])
    assert list((place / "tmp").rglob("*.wb")) == []


def test_a_block_that_cannot_be_entered_ends_the_recorder(place, monkeypatch):
    monkeypatch.setenv("FAKE_RECORDER", "bare")
    monkeypatch.setattr(module.time, "monotonic", iter(range(0, 10**6, 11)).__next__)
    made = capture("syscalls", **ME, output=place / "s.wb")
    with pytest.raises(SessionNotFoundError), made:
        pytest.fail("not reached")
    monkeypatch.undo()
    ended(made.recorder_pid)


def test_a_dead_recorder_leaves_what_it_had(place, monkeypatch):
    monkeypatch.setenv("FAKE_RECORDER", "die")
    made = capture("syscalls", **ME, output=place / "s.wb").start()
    live = made.session
    with pytest.warns(RecorderDiedWarning, match="signal 9"):
        session = made.wait()
    assert session is live
    assert (session.state, session["syscalls"].num_rows) == ("recovered", 300)


def test_what_went_wrong_on_the_way_is_told(place, monkeypatch):
    monkeypatch.setenv("FAKE_RECORDER", "problem")
    with pytest.warns(CaptureProblemWarning, match="no name"):
        session = capture("syscalls", **ME, output=place / "s.wb", duration=0.01)
    assert session.manifest.problems == ("one frame has no name",)
    assert session.state == "complete"


class Interrupted:
    """Ctrl-C at the first look, and once more if asked."""

    def __init__(self, times):
        self.times = times

    def __call__(self, client, timeout):
        if self.times:
            self.times -= 1
            raise KeyboardInterrupt
        client._thread.join(timeout)
        return not client.running


def test_ctrl_c_stops_and_saves_and_twice_gives_up(place, monkeypatch):
    join = Interrupted(1)
    monkeypatch.setattr(module.RecorderClient, "join", lambda *a: join(*a))
    made = capture("syscalls", command=["sleep", "60"], output=place / "s.wb", wait=False)
    assert made.start().wait().manifest.reason == "stopped by the user"
    join.times = 2
    other = capture("syscalls", **ME, wait=False).start()
    with pytest.raises(KeyboardInterrupt):
        other.wait()
    other.stop()
