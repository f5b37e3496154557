"""A server and a client of plain HTTP/1 that know what they did, and a capture of the client."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import workbench as wb

# Answers 30 ms after the request; 418 where the path says so. A port, or a path of a socket.
SERVER = """
import socket, sys, threading, time
place = sys.argv[1]
unix = place.startswith("/")
listener = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
listener.bind(place if unix else ("127.0.0.1", 0))
listener.listen()
print(0 if unix else listener.getsockname()[1], flush=True)
def serve(one):
    while data := one.recv(100000):
        while b"\\r\\n\\r\\n" not in data: data += one.recv(100000)
        time.sleep(0.03)
        if b"100-continue" in data: one.sendall(b"HTTP/1.1 100 Continue\\r\\n\\r\\n")
        status = b"418 Teapot" if b"teapot" in data else b"200 OK"
        one.sendall(b"HTTP/1.1 " + status + b"\\r\\nContent-Length: 2\\r\\n\\r\\n")
        one.sendall(b"ok")
while True:
    one, _ = listener.accept()
    threading.Thread(target=serve, args=[one], daemon=True).start()
"""
CLIENT = """
import json, os, socket, sys, time
place, lines = json.loads(sys.argv[1]), json.loads(sys.argv[2])
one = socket.socket(socket.AF_UNIX if isinstance(place, str) else socket.AF_INET)
one.connect(place if isinstance(place, str) else tuple(place))
waits = []
for line in lines:
    start = time.monotonic_ns()
    one.sendall(line.encode("latin-1") + b"\\r\\nHost: here\\r\\n\\r\\n")
    got = b""
    while not got.endswith(b"\\r\\n\\r\\nok"): got += one.recv(100)
    waits.append(time.monotonic_ns() - start)
print(json.dumps([os.fstat(one.fileno()).st_ino, waits]))
"""


def exchange(
    folder: Path, lines: list[str], *, unix: bool = False, **options: Any
) -> tuple[wb.Session, int]:
    """Send request lines to the server, one after the other, while the client is captured.

    Returns the session and the server's port, 0 of a Unix socket. The client prints the inode of
    its socket and how long it waited for each answer.
    """
    place = str(folder / "socket") if unix else "0"
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, place], stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout
            port = int(server.stdout.readline())
            where = json.dumps(place if unix else ["127.0.0.1", port])
            command = [sys.executable, "-c", CLIENT, where, json.dumps(lines)]
            session = wb.capture("http", command=command, output=folder / "s.wb", **options)
        finally:
            server.kill()
    return session, port
