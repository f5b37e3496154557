"""DNS messages, made by hand after RFC 1035, and a server that answers them slowly."""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

A, AAAA = 1, 28
NXDOMAIN = 3


def wire(name: str) -> bytes:
    """A name as messages carry it."""
    labels = [label.encode() for label in name.rstrip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def query(number: int, name: str, kind: int = A) -> bytes:
    """A query for a record of a name."""
    return struct.pack(">6H", number, 0x0100, 1, 0, 0, 0) + wire(name) + struct.pack(">HH", kind, 1)


# Names that begin with "no" do not exist; those that begin with "slow" take 50 ms more.
SERVER = """
import socket, struct, sys, time
address, port, delay = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind((address, port))
print(server.getsockname()[1], flush=True)
while True:
    data, peer = server.recvfrom(2000)
    time.sleep(delay + 0.05 * data[13:].startswith(b"slow"))
    number, flags, *_ = struct.unpack(">6H", data[:12])
    missing = data[13:].startswith(b"no")
    end = data.index(b"\\0", 12) + 5
    (kind,) = struct.unpack(">H", data[end - 4 : end - 2])
    count = int(kind == 1 and not missing)
    answer = struct.pack(">6H", number, 0x8180 | 3 * missing, 1, count, 0, 0) + data[12:end]
    if count:
        answer += struct.pack(">HHHIH4B", 0xC00C, 1, 1, 60, 4, 192, 0, 2, 1)
    server.sendto(answer, peer)
"""


@contextmanager
def server(
    address: str, port: int, delay: float, inside: tuple[str, ...] = ()
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run the server on a port, 0 for any; ``inside`` is what a command is put behind.

    Gives its process and its port.
    """
    command = [*inside, sys.executable, "-c", SERVER, address, str(port), str(delay)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout
            yield child, int(child.stdout.readline())
        finally:
            child.kill()
