"""A conversation over a link that drops known segments."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from compile_bpf import compile_bpf
from network_space import TWO, two_hosts

DROPS = Path(__file__).parent / "kernel" / "drop_segments.bpf.c"
LOSSY = """
import json, socket, subprocess, sys, time
one = socket.socket()
one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
one.connect((sys.argv[1], int(sys.argv[2])))
for text in sys.argv[3]:
    one.sendall(text.encode() * 100)
    if one.recv(1) != b"k": break
port = one.getsockname()[1]
seen = subprocess.check_output(["ss", "-tinH", "sport", "=", str(port)], text=True)
one.close()
print(json.dumps([port, seen]))
"""
ECHO = """
import socket
listener = socket.create_server(("0.0.0.0", 0))
print(listener.getsockname()[1], flush=True)
one, _ = listener.accept()
while True:
    got = 0
    while got < 100:
        part = one.recv(100 - got)
        if not part: raise SystemExit
        got += len(part)
    one.sendall(b"k")
"""


@contextmanager
def lossy_link(folder: Path) -> Iterator[list[str]]:
    """Yield a command that sends 12 segments of 100 bytes, six of which are lost once.

    It prints its port and what ``ss -tin`` says of its connection, as JSON.
    """
    with two_hosts() as hosts:
        hosts.classify(compile_bpf(folder, DROPS.read_text(), name="drop", head="\n"))
        python = [sys.executable, "-c"]
        server = subprocess.Popen(
            [*hosts.inside(hosts.two), *python, ECHO], text=True, stdout=subprocess.PIPE
        )
        with server:
            try:
                port = server.stdout.readline().strip()
                yield [*hosts.inside(hosts.one), *python, LOSSY, TWO, port, "xDxDDxxDxDDx"]
            finally:
                server.kill()
