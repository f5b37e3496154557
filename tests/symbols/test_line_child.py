"""The process that reads debug information: its limits and its protocol."""

import json
import os
import socket
import subprocess
import sys

import pytest

from workbench.symbols import line_child
from workbench.symbols.line_child import LENGTH


@pytest.fixture
def child():
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", line_child.__file__, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
        )
    ours.settimeout(30)
    yield process, ours
    ours.close()
    process.wait(10)


def ask(channel, path, request):
    content = json.dumps(request).encode()
    with open(path, "rb") as source, open(os.devnull, "wb") as target:
        socket.send_fds(channel, [LENGTH.pack(len(content))], [source.fileno(), target.fileno()])
    channel.sendall(content)
    size = LENGTH.unpack(line_child.receive(channel, LENGTH.size))[0]
    return json.loads(line_child.receive(channel, size))


def test_errors_are_answers_and_the_process_goes_on(child, tmp_path):
    process, channel = child
    (tmp_path / "odd").write_bytes(b"no program")
    for _ in range(3):
        answer = ask(channel, tmp_path / "odd", {"key": "a", "made": False, "addresses": [1]})
        assert list(answer) == ["error"]
    assert process.poll() is None


def test_it_has_no_privilege_and_few_descriptors(child, tmp_path):
    process, channel = child
    (tmp_path / "odd").write_bytes(b"x")
    ask(channel, tmp_path / "odd", {"key": "a", "made": False, "addresses": []})
    with open(f"/proc/{process.pid}/status") as file:
        status = dict(line.split(":\t", 1) for line in file.read().splitlines() if ":\t" in line)
    with open(f"/proc/{process.pid}/limits") as file:
        limits = file.read()
    assert int(status["CapEff"], 16) == 0
    if os.geteuid() == 0:
        assert "0" not in status["Uid"].split()
    assert [line.split()[4] for line in limits.splitlines() if "Max core" in line] == ["0"]


def test_it_ends_with_the_other_side(child):
    process, channel = child
    channel.shutdown(socket.SHUT_RDWR)
    assert process.wait(10) == 0


def test_requests_that_are_too_long_are_refused():
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(ValueError, match=str(line_child.MAX_REQUEST + 1)):
        line_child.receive(theirs, line_child.MAX_REQUEST + 1)
