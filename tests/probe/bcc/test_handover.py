"""Messages and descriptors between processes."""

import os
import socket
import threading

import pytest

from workbench.probe.bcc.handover import AT_ONCE, receive, send


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_a_message_without_descriptors(pair):
    long = {"text": "é" * 1_000_000, "list": [1, None]}  # more than a socket holds
    sender = threading.Thread(target=send, args=(pair[0], long))
    sender.start()
    assert receive(pair[1]) == (long, [])
    sender.join()


def test_more_descriptors_than_one_call_takes(pair, tmp_path):
    file = tmp_path / "file"
    file.write_text("x")
    sent = [os.open(file, os.O_RDONLY) for _ in range(2 * AT_ONCE + 1)]
    sender = threading.Thread(target=send, args=(pair[0], {"n": 1}, sent))
    sender.start()
    message, received = receive(pair[1])
    sender.join()
    send(pair[0], {"n": 2})
    try:
        assert message == {"n": 1}
        assert len(received) == len(sent)
        assert not set(received) & set(sent)
        assert {os.fstat(fd).st_ino for fd in received} == {file.stat().st_ino}
        assert not any(os.get_inheritable(fd) for fd in received)
        assert receive(pair[1]) == ({"n": 2}, [])
    finally:
        for fd in sent + received:
            os.close(fd)


@pytest.mark.parametrize("part", [b"", b"\x05", b"\x05\0\0\0\0\0\0\0{}", b"\x02\0\0\0\1\0\0\0{}"])
def test_the_other_side_ends(pair, part):
    pair[0].sendall(part)
    pair[0].close()
    with pytest.raises(EOFError):
        receive(pair[1])
