"""Sends and receives of programs that know them, and of strace."""

import json
import re
import shutil
import subprocess
import sys

import polars as pl
import pytest
from sendmmsg import SENDMMSG

import workbench as wb
from workbench.frames import sockets

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("nothing_left")]

TEXTS = pl.col("direction", "protocol", "family", "name").cast(pl.String)


def capture(tmp_path, code, *arguments, **options):
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return wb.capture("sockets", command=command, output=tmp_path / "s.wb", **options)


def rows(session, **conditions):
    found = session["sockets"].polars().with_columns(TEXTS, pl.col("latency").cast(pl.Int64))
    losses = session.losses.filter(kind="sockets")
    assert losses["dropped"].sum() == 0
    assert losses["delivered"].sum() == found.height
    return found.filter(**conditions).sort("ts")  # CPUs have their own buffers


UDP = """
import json, os, socket, sys, threading, time
family, address = json.loads(sys.argv[1])
server, client = (socket.socket(family, socket.SOCK_DGRAM) for _ in range(2))
server.bind((address, 0))
def now(): return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
def answer():
    for _ in range(20):
        data, peer = server.recvfrom(2000)
        time.sleep(0.01)
        server.sendto(data * 2, peer)
thread = threading.Thread(target=answer)
thread.start()
waits = []
for n in range(20):
    client.sendto(bytes(n + 1), server.getsockname()[:2])
    start = now()
    client.recv(4000)
    waits.append((start, now()))
thread.join()
numbers = [os.fstat(one.fileno()).st_ino for one in (client, server)]
print(json.dumps([numbers, [one.getsockname()[1] for one in (client, server)], waits]))
"""


@pytest.mark.parametrize("transport", ["ring", "perf"])
@pytest.mark.parametrize("place", [(2, "127.0.0.1"), (10, "::1")])
def test_datagrams(tmp_path, capfd, place, transport):
    session = capture(tmp_path, UDP, json.dumps(place), protocols="udp", transport=transport)
    numbers, ports, waits = json.loads(capfd.readouterr().out)
    found = rows(session)
    assert set(found["protocol"]) == {"udp"}
    assert set(found["family"]) == {"ipv4" if place[0] == 2 else "ipv6"}
    sums = {(r["inode"], r["direction"]): (r["calls"], r["bytes"], r["messages"])
            for r in sockets.by_socket(session).iter_rows(named=True)}  # fmt: skip
    client, server = numbers
    assert sums == {
        (client, "send"): (20, 210, 20),
        (client, "receive"): (20, 420, 20),
        (server, "receive"): (20, 210, 20),
        (server, "send"): (20, 420, 20),
    }
    # Not connected: the other side is what the calls name. recv() names none.
    mine = found.filter(inode=server)
    assert set(mine["remote_port"]) == {ports[0]}
    assert set(mine["remote_address"]) == {place[1]}
    assert set(mine["local_port"]) == {ports[1]}
    assert set(found.filter(inode=client, direction="send")["remote_port"]) == {ports[1]}
    # The program's clock sees the call and a little more.
    latencies = found.filter(inode=client, direction="receive").sort("ts")["latency"].to_list()
    for latency, (start, end) in zip(latencies, waits, strict=True):
        assert 0 < latency <= end - start
    assert sum(latencies) > 0.5 * 20 * 0.01e9  # it may come late, and wait less


MIXED = """
import os, socket
one, two = socket.socketpair()
one.sendmsg([b"abc", b"de"])
two.recvmsg(10)
two.setblocking(False)
for _ in range(7):
    try: two.recv(1)
    except BlockingIOError: pass
pipe = os.pipe()
os.write(pipe[1], b"not a socket")
os.read(pipe[0], 100)
listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
server, _ = listener.accept()
os.writev(client.fileno(), [b"12", b"345"])
os.readv(server.fileno(), [bytearray(2), bytearray(100)])
with open(os.sys.executable, "rb") as file:
    os.sendfile(client.fileno(), file.fileno(), 0, 1000)
got = 0
while got < 1000: got += len(server.recv(1000))
os.write(server.fileno(), b"x" * 9)
os.read(client.fileno(), 5)
"""


def test_all_forms_of_calls(tmp_path):
    found = rows(capture(tmp_path, MIXED))
    unix = found.filter(protocol="unix")
    done = unix.filter(pl.col("errno").is_null())
    assert done.select("name", "bytes").rows() == [("sendmsg", 5), ("recvmsg", 5)]
    assert unix["errno"].drop_nulls().to_list() == [11] * 7
    tcp = found.filter(protocol="tcp").select("name", "bytes").rows()
    assert tcp[:3] == [("writev", 5), ("readv", 5), ("sendfile", 1000)]
    assert tcp[-2:] == [("write", 9), ("read", 5)]
    assert sum(size for name, size in tcp if name == "recvfrom") == 1000
    assert set(found["protocol"]) == {"unix", "tcp"}


def test_several_messages_in_a_call(tmp_path, capfd):
    """As the C library's resolver sends them."""
    code = SENDMMSG + "print(send_all(client, [b'x' * (n + 1) for n in range(100)]))"
    found = rows(capture(tmp_path, code), name="sendmmsg")
    assert capfd.readouterr().out == "100\n"
    assert found.select("messages", "bytes", "ret").rows() == [(100, 5050, 100)]


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_calls_are_those_of_strace(tmp_path):
    calls = "read,write,readv,writev,sendto,recvfrom,sendmsg,recvmsg,sendfile"
    traced = subprocess.run(
        ["strace", "-f", "-yy", "-e", f"trace={calls}", sys.executable, "-c", MIXED],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = re.findall(r"(\w+)\(\d+<(?:TCP|UNIX)[^\n]*= (-?\d+)", traced.stderr)
    found = rows(capture(tmp_path, MIXED))
    mine = [(name, max(ret, -1)) for name, ret in found.select("name", "ret").rows()]
    # How a stream is cut into pieces is nobody's promise.
    assert [one for one in mine if one[0] != "recvfrom"] == [
        (name, int(ret)) for name, ret in lines if name != "recvfrom"
    ]


@pytest.mark.parametrize("aggregate", [False, True])
def test_sums_of_the_kernel_are_those_of_the_events(tmp_path, capfd, aggregate):
    session = capture(tmp_path, UDP, json.dumps((2, "127.0.0.1")), aggregate=aggregate)
    (client, server), ports, waits = json.loads(capfd.readouterr().out)
    found = sockets.by_socket(session).filter(pl.col("inode").is_in([client, server]))
    assert set(found.select("inode", "direction", "calls", "errors", "bytes").iter_rows()) == {
        (client, "send", 20, 0, 210),
        (client, "receive", 20, 0, 420),
        (server, "receive", 20, 0, 210),
        (server, "send", 20, 0, 420),
    }
    waited = found.with_columns(pl.col("total", "p50").cast(pl.Int64))
    (mine,) = waited.filter(inode=client, direction="receive").iter_rows(named=True)
    assert 0.5 * 20 * 0.01e9 < mine["total"] <= sum(end - start for start, end in waits)
    assert mine["p50"] > 0.008e9  # 2^23 ns: the bucket in which 10 ms are
    assert set(found["protocol"]) == {"udp"}
    assert set(found.filter(inode=server)["local_port"]) == {ports[1]}
    losses = session.losses.filter(kind="sockets")
    assert losses["dropped"].sum() == 0
    assert losses["produced"].sum() == losses["delivered"].sum() >= 80


def test_a_full_buffer_loses_no_count(tmp_path):
    code = """
import socket
one, two = socket.socketpair()
for _ in range(20000):
    one.send(b"x")
    two.recv(1)
"""
    session = capture(tmp_path, code, ring_bytes=4096)
    losses = session.losses.filter(kind="sockets")
    assert losses["delivered"].sum() == session["sockets"].num_rows
    assert losses["dropped"].sum() > 1000
    assert losses["produced"].sum() == 40000
