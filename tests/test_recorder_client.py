"""The client's side of the protocol, against a recorder that misbehaves in every way."""

import os
import signal
import sys

import pytest
from fake_recorder import python_of

from workbench import recorder_client
from workbench.errors import AttachError, NotPermittedError, ParameterError, RecorderError
from workbench.recorder.spec import Spec, Target
from workbench.recorder_client import RecorderClient


@pytest.fixture
def start(tmp_path, monkeypatch):
    clients = []

    def start(how, **options):
        monkeypatch.setenv("FAKE_RECORDER", how)
        spec = Spec({"syscalls": {}}, str(tmp_path / "s.wb"), **options).checked()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "executable", python_of(tmp_path))
            clients.append(RecorderClient(spec))
        return clients[-1]

    yield start
    for client in clients:
        client.kill()
        client.close()


def test_a_whole_capture(start, tmp_path):
    client = start("ok", target=Target(pid=os.getpid()))
    client.wait_ready()
    assert client.running
    assert not client.join(0.01)
    os.kill(client.pid, 0)
    client.stop()
    assert client.join(20)
    assert not client.running
    assert client.result["reason"] == "stopped by the user"
    assert client.progress["event"] == "saving"
    client.close()
    client.stop()  # too late: nothing happens
    assert (tmp_path / "s.wb").is_file()


def test_the_error_that_it_names(start):
    client = start("error")
    with pytest.raises(NotPermittedError) as caught:
        client.wait_ready()
    assert (caught.value.what, caught.value.why, caught.value.advice) == ("No.", "EPERM", "Ask.")


def test_an_unknown_error_is_one_of_the_recorder(start):
    client = start("error")
    client.join(20)
    client.result["type"] = "NoSuchError"
    assert type(client.error()) is RecorderError


def test_its_last_words_on_stderr(start):
    client = start("early")
    with pytest.raises(RecorderError, match="died") as caught:
        client.wait_ready()
    assert "exit code 3" in caught.value.why
    assert "something is broken" in caught.value.why


def test_a_signal_is_named(start):
    client = start("ok")
    client.wait_ready()
    os.kill(client.pid, signal.SIGKILL)
    assert client.join(20)
    assert "signal 9" in client.error().why


def test_orders_and_their_answers(start, monkeypatch):
    client = start("orders")
    client.wait_ready()
    client.switch("fine", on=True)
    client.switch("late", on=False)
    with pytest.raises(AttachError) as caught:
        client.switch("refused", on=True)
    assert (caught.value.what, caught.value.why, caught.value.advice) == ("No.", "gone", "Ask.")
    with monkeypatch.context() as patch:
        patch.setattr(recorder_client, "ORDER_S", 0.1)
        with pytest.raises(RecorderError, match="silent cannot be switched") as caught:
            client.switch("silent", on=True)
    assert "did not answer" in caught.value.why
    for name in ("dies", "fine"):
        with pytest.raises(ParameterError, match=f"{name} cannot be switched: .* has ended"):
            client.switch(name, on=True)


def test_what_is_no_message_is_passed_over_and_silence_ends(start, monkeypatch):
    monkeypatch.setattr(recorder_client, "READY_S", 1.0)
    client = start("noise")
    with pytest.raises(RecorderError, match="not ready"):
        client.wait_ready()
    assert client._process.returncode == -signal.SIGKILL
    assert client.result is None


def test_ctrl_c_does_not_reach_it(start):
    client = start("ok")
    client.wait_ready()
    assert os.getsid(client.pid) == client.pid != os.getsid(0)


def test_the_end_of_its_input_stops_it(start):
    client = start("ok")
    client.wait_ready()
    client._process.stdin.close()
    assert client.join(20)
    assert client.result["event"] == "done"
