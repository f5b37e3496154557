"""Every kind at once with each filter: what another process does at the same time is left out."""

import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

import workbench as wb
from workbench import kinds

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("nothing_left")]

INSIDE, OUTSIDE = "wb-inside", "wb-outside"
# Does something for each kind once it is told to: waits, sends, looks up, asks, allocates, writes.
BUSY = """
import mmap, os, signal, socket, struct, sys, threading, time
sys.stdin.readline()
one, two = socket.socketpair()
one.sendall(b"GET /here HTTP/1.1\\r\\n\\r\\n")
two.recv(100)
listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
server, _ = listener.accept()
client.sendall(b"x" * 1000)
server.recv(1000)
asks = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
message = struct.pack(">6H", 1, 0, 1, 0, 0, 0) + b"\\1a\\0\\0\\1\\0\\1"
asks.sendto(message, ("127.0.0.1", int(sys.argv[2])))
with open(sys.argv[1], "wb") as file:
    file.write(bytes(1 << 20))
    file.flush()
    os.fsync(file.fileno())
with open(sys.argv[1], "rb") as file: file.read()
signal.signal(signal.SIGUSR1, lambda *_: None)
os.kill(os.getpid(), signal.SIGUSR1)
lock = threading.Lock()
lock.acquire()
waits = threading.Thread(target=lock.acquire)
waits.start()
time.sleep(0.05)
lock.release()
waits.join()
mmap.mmap(-1, 1 << 20).close()
end = time.process_time() + 0.3
while time.process_time() < end: bytearray(100_000)
os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)
"""
QUIET = {"irq", "block"}
"""What may have nothing to tell: interrupts come where they will, and files lie in memory."""


@contextmanager
def busy(folder, port):
    """Two processes of other names that do the same, held until they are told to go."""
    made = []
    try:
        for name in (INSIDE, OUTSIDE):
            program = folder / name
            program.symlink_to(os.path.realpath(sys.executable))
            words = [program, "-c", BUSY, folder / f"{name}.data", str(port)]
            made.append(subprocess.Popen(words, stdin=subprocess.PIPE, text=True))
        yield made
    finally:
        for process in made:
            process.kill()
            process.communicate()


@contextmanager
def cgroup():
    """A new cgroup of version 2, named as that of a container; gives it and the container's id."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    mount = next(fields[1] for fields in mounts if fields[2] == "cgroup2")
    container = f"{os.getpid():064x}"[::-1]
    group = Path(mount, f"docker-{container}.scope")
    group.mkdir()
    try:
        yield group, container
    finally:
        until = time.monotonic() + 20
        while group.exists():  # the kernel may still be busy with the last process
            try:
                group.rmdir()
            except OSError:
                assert time.monotonic() < until
                time.sleep(0.1)


def check(session, inside, outside):
    """Each kind tells of the one and not of the other, and of all that it does not lose."""
    losses = session.losses
    assert (losses["produced"] == losses["delivered"] + losses["dropped"]).all()
    for kind in kinds.all_kinds():
        table = next(name for name in session.tables if name in (kind, f"{kind}_agg"))
        rows = session[table].polars()
        pids = set(rows["pid"])
        assert outside not in pids, kind
        assert inside in pids or kind in QUIET, kind
        if table == kind:
            assert losses.filter(kind=kind)["delivered"].sum() == rows.height, kind


@pytest.mark.parametrize(("by", "aggregate"), [("comm", False), ("container", True)])
def test_strangers_are_left_out(tmp_path, by, aggregate):
    wanted = {name: {"aggregate": True} if aggregate and kind.aggregation else {}
              for name, kind in kinds.all_kinds().items()}  # fmt: skip
    wanted["memory"] = {"parts": ("mappings", "faults")}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as hears, cgroup() as made:
        group, container = made
        hears.bind(("127.0.0.1", 0))
        port = hears.getsockname()[1]
        wanted["dns"] |= {"dns_port": port}
        with busy(tmp_path, port) as (inside, outside):
            (group / "cgroup.procs").write_text(str(inside.pid))
            target = {"comm": INSIDE} if by == "comm" else {"cgroup": container[:12]}
            with wb.capture(wanted, output=tmp_path / "s.wb", **target) as session:
                for process in (inside, outside):
                    process.stdin.write("go\n")
                    process.stdin.flush()
                assert [process.wait() for process in (inside, outside)] == [0, 0]
            check(session, inside.pid, outside.pid)
