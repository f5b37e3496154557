"""The recorder's protocol, in this process and as a process of its own."""

import json
import os
import signal
import subprocess
import sys

import pytest

import workbench as wb
from workbench.errors import ParameterError
from workbench.recorder import __main__ as module
from workbench.recorder.spec import Spec, Target


@pytest.fixture
def wires(monkeypatch):
    """Pipes in place of the descriptors 0 and 1; and the signal handlers as they were."""
    import pandas

    monkeypatch.setitem(sys.modules, "pandas", pandas)  # main() hides it from the process
    stdin, stdout = os.pipe(), os.pipe()
    saved = os.dup(0), os.dup(1)
    handlers = {n: signal.getsignal(n) for n in
                (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE)}  # fmt: skip

    class Wires:
        write, read = stdin[1], stdout[0]

        @staticmethod
        def run(text):
            os.write(stdin[1], text.encode())
            os.dup2(stdin[0], 0)
            os.dup2(stdout[1], 1)
            try:
                code = module.main()
            finally:
                os.dup2(saved[0], 0)
                os.dup2(saved[1], 1)
            return code, [json.loads(x) for x in os.read(stdout[0], 1 << 16).splitlines()]

    yield Wires
    for number, handler in handlers.items():
        signal.signal(number, handler)
    for fd in (*stdin, *stdout, *saved):
        os.close(fd)


class Loop:
    """A capture loop that does what it is told."""

    reason = "done for"
    act = staticmethod(lambda _loop: "/somewhere/s.wb")

    def __init__(self, spec, control, tell):
        self.spec, self.control, self.tell = spec, control, tell

    def run(self):
        return Loop.act(self)


@pytest.fixture
def loop(monkeypatch):
    monkeypatch.setattr(module, "CaptureLoop", Loop)

    def does(act):
        monkeypatch.setattr(Loop, "act", staticmethod(act))

    return does


SPEC = Spec({"syscalls": {}}, "/somewhere/s.wb", Target(pid=7)).to_json() + "\n"


def test_a_capture(wires, loop):
    code, messages = wires.run(SPEC)
    assert code == 0
    assert messages == [{"event": "done", "path": "/somewhere/s.wb", "reason": "done for"}]


def test_an_error_of_ours_is_told_whole(wires, loop):
    def fail(_loop):
        raise ParameterError("No.", why="so", advice="Else.")

    loop(fail)
    code, messages = wires.run(SPEC)
    assert code == 1
    assert messages == [
        {"event": "error", "type": "ParameterError", "what": "No.", "why": "so", "advice": "Else."}
    ]


def test_any_other_error_is_one_of_the_recorder(wires, loop, capfd):
    def fail(_loop):
        raise ZeroDivisionError("by none")

    loop(fail)
    code, ((message),) = wires.run(SPEC)
    assert (code, message["type"]) == (1, "RecorderError")
    assert message["why"] == "ZeroDivisionError: by none"
    assert "Traceback" in capfd.readouterr().err


@pytest.mark.parametrize("text", ["\n", "{}\n", "[1]\n", "nonsense\n"])
def test_a_specification_that_is_none(wires, text, capfd):
    code, ((message),) = wires.run(text)
    assert (code, message["event"]) == (1, "error")


def test_a_signal_makes_a_descriptor_readable(wires, loop):
    def wait(own):
        os.kill(os.getpid(), signal.SIGTERM)
        return os.read(own.control[1], 10).decode()

    loop(wait)
    assert wires.run(SPEC)[1][0]["path"] == "stop"


def test_progress_is_dropped_when_nobody_reads_and_last_words_wait(wires, loop, monkeypatch):
    monkeypatch.setattr(module, "LAST_WORDS_MS", 50)

    def chatter(own):
        for i in range(5000):  # more than a pipe holds
            own.tell({"event": "progress", "text": "x" * 100, "i": i})
        return "x"

    loop(chatter)
    code, messages = wires.run(SPEC)
    assert code == 0
    assert [m["i"] for m in messages[:10]] == list(range(10))
    assert all(m["event"] == "progress" for m in messages[:100])


def test_a_reader_that_has_gone_is_no_reason_to_stop(monkeypatch):
    def gone(*_arguments):
        raise BrokenPipeError

    monkeypatch.setattr(module.os, "write", gone)
    module.tell({"event": "done"})


@pytest.fixture
def recorder(tmp_path):
    """A recorder process that traces another one, past its first word."""
    command = [sys.executable, "-m", "workbench.recorder"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(["sleep", "60"]) as target, subprocess.Popen(command, **pipes) as made:
        try:
            spec = Spec({"syscalls": {}}, str(tmp_path / "s.wb"), Target(pid=target.pid))
            made.stdin.write(spec.to_json().encode() + b"\n")
            made.stdin.flush()
            assert json.loads(made.stdout.readline())["event"] == "ready"
            yield made
        finally:
            made.kill()
            target.kill()


@pytest.mark.kernel
@pytest.mark.parametrize("end", ["word", "end of input", "SIGTERM", "SIGHUP"])
def test_the_real_process(tmp_path, recorder, end):
    if end == "word":
        recorder.stdin.write(b"stop\n")
        recorder.stdin.flush()
    elif end == "end of input":
        recorder.stdin.close()
    else:
        recorder.send_signal(getattr(signal, end))
    messages = [json.loads(line) for line in recorder.stdout]
    assert recorder.wait(10) == 0
    assert [m["event"] for m in messages if m["event"] != "progress"] == ["saving", "done"]
    assert messages[-1]["path"] == str(tmp_path / "s.wb")
    reason = {"word": "user", "end of input": "client"}.get(end, "signal")
    assert reason in messages[-1]["reason"]
    assert wb.open(tmp_path / "s.wb").manifest.reason == messages[-1]["reason"]


def test_one_that_waits_ahead_takes_a_capture(wires, loop, monkeypatch):
    monkeypatch.setattr(module, "USED", ("json",))
    monkeypatch.setattr(module, "main", lambda main=module.main: main(module.AHEAD))
    code, messages = wires.run(SPEC)
    assert (code, messages[-1]["event"]) == (0, "done")


def test_one_that_waits_in_vain_goes(monkeypatch):
    monkeypatch.setattr(module, "USED", ())
    monkeypatch.setattr(module, "IDLE_S", 0.01)
    assert module.main(module.AHEAD) == 0
