"""Messages between two processes, with open descriptors: a length, how many of them, and JSON."""

from __future__ import annotations

import array
import json
import socket
import struct
from collections.abc import Sequence
from typing import Any

_HEAD = struct.Struct("<II")
AT_ONCE = 200
"""Descriptors of one call; the kernel takes 253 (SCM_MAX_FD, include/net/scm.h)."""


def send(channel: socket.socket, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
    """Send a message and descriptors, which stay open here."""
    data = json.dumps(message).encode()
    channel.sendall(_HEAD.pack(len(data), len(descriptors)) + data)
    for at in range(0, len(descriptors), AT_ONCE):
        socket.send_fds(channel, [b"\0"], descriptors[at : at + AT_ONCE])


def receive(channel: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Return the next message and its descriptors, which are the caller's to close.

    Raises
    ------
    EOFError
        The other side has ended.
    """
    length, count = _HEAD.unpack(_exactly(channel, _HEAD.size))
    message = json.loads(_exactly(channel, length))
    descriptors: list[int] = []
    while len(descriptors) < count:
        descriptors += _some_descriptors(channel)
    return message, descriptors


def _some_descriptors(channel: socket.socket) -> list[int]:
    """Receive those of one call; ``socket.recv_fds`` would let children inherit them."""
    received = array.array("i")
    room = socket.CMSG_SPACE(AT_ONCE * received.itemsize)
    mark, parts, _, _ = channel.recvmsg(1, room, socket.MSG_CMSG_CLOEXEC)
    if not mark:
        raise EOFError
    for level, kind, data in parts:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            received.frombytes(data)
    return received.tolist()


def _exactly(channel: socket.socket, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        part = channel.recv(length - len(data))
        if not part:
            raise EOFError
        data += part
    return bytes(data)
