"""Programs of Debian's BCC tools that look at connections, network devices and disks."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack

import polars as pl
import pytest
from bcc_tools import NEEDED, SENTINEL, cell_of, sent, serving, undisturbed
from disks import loop_disk
from network_space import ONE, TWO, run, two_hosts

pytestmark = NEEDED
ASKED, ANSWERED = 70_000, 300_000  # bytes
# From include/net/tcp_states.h.
ESTABLISHED, SYN_SENT, CLOSE, CLOSE_WAIT, LAST_ACK = 1, 2, 7, 8, 9
CLIENT = """
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as c:
    c.sendall(bytes({asked}))
    while c.recv(1 << 16):
        pass
"""


def answers(connection):
    """Answer when all was asked, and close first."""
    left = ASKED
    while left:
        left -= len(connection.recv(left))
    connection.sendall(bytes(ANSWERED))


def transfer(tool, *words):
    """The cell of a tool for one connection, with the port of its server."""
    with serving(answers) as port:
        command = [sys.executable, "-c", CLIENT.format(asked=ASKED), str(port)]
        cell = cell_of(tool, *words, "-D", port, command=command)
    cell.port = port
    return cell


def test_tcplife():
    cell = undisturbed(lambda: transfer("tcplife", "-p", SENTINEL))
    (event,) = sent(cell, "ipv4_events").rows(named=True)
    assert event["pid"] == cell.source.pid
    assert event["ports"] & 0xFFFFFFFF == cell.port
    # A SYN and a FIN count as a byte each: RFC 9293, 3.4.
    assert event["tx_b"] == ASKED + 2
    assert event["rx_b"] == ANSWERED + 1


def test_tcpstates():
    cell = undisturbed(lambda: transfer("tcpstates"))
    events = sent(cell, "ipv4_events")
    assert set(zip(events["oldstate"], events["newstate"], strict=True)) == {
        (CLOSE, SYN_SENT), (SYN_SENT, ESTABLISHED), (ESTABLISHED, CLOSE_WAIT),
        (CLOSE_WAIT, LAST_ACK), (LAST_ACK, CLOSE),
    }  # fmt: skip
    assert len(events) == 5
    assert set(events["ports"] & 0xFFFF) == {cell.port}
    assert events["skaddr"].n_unique() == 1
    assert events.filter(newstate=SYN_SENT)["pid"].to_list() == [cell.source.pid]


SENDER = """
import socket, sys
local, remote, sends, gets = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.settimeout(60)
    s.bind((local, 7777))
    print("ready", flush=True)
    input()
    for _ in range(sends):
        s.sendto(bytes(1000), (remote, 7777))
    for _ in range(gets):
        s.recv(2000)
"""


def exchange(hosts, there, back):
    """So many datagrams of 1000 bytes from the first host to the second, and back."""
    with ExitStack() as stack:
        both = []
        for name, *rest in ((hosts.one, ONE, TWO, there, back), (hosts.two, TWO, ONE, back, there)):
            command = [*hosts.inside(name), sys.executable, "-c", SENDER, *map(str, rest)]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            both.append(stack.enter_context(subprocess.Popen(command, **pipes)))
            stack.callback(both[-1].kill)
        assert [each.stdout.readline() for each in both] == ["ready\n"] * 2
        for each in both:
            each.stdin.write("\n")
            each.stdin.flush()
        assert [each.wait(60) for each in both] == [0, 0]


def test_netqtop():
    there, back = 31, 17
    name = f"wb{os.getpid()}"  # the tool's program looks at devices of one name, wherever

    def watched():
        with two_hosts() as hosts:
            for command in ("set veth0 down", f"set veth0 name {name}", f"set {name} up"):
                run("ip", "-n", hosts.one, "link", *command.split())
            # The tool wants to see its queues here, where the device is not: any will do.
            with cell_of("netqtop", "-n", "lo") as cell:
                cell.tables["name_map"][0] = {"name": name}
                exchange(hosts, there, back)
        return cell

    cell = undisturbed(watched)
    for table, count, extra in (("tx_q", there, 42), ("rx_q", back, 28)):
        (queue,) = cell[table].rows(named=True)
        # Besides them only the neighbours' ARP, without its Ethernet header when it is received.
        assert queue["size_2K"] == count
        assert queue["num_pkt"] == count + queue["size_64B"] + queue["size_512B"]
        assert queue["total_pkt_len"] >= count * (1000 + extra)


READER = """
import mmap, os, sys
file = os.open(sys.argv[1], os.O_RDWR | os.O_DIRECT)
page = mmap.mmap(-1, 8192)
for way, at in (each.split("@") for each in sys.argv[2:]):
    (os.preadv if way == "r" else os.pwritev)(file, [page], int(at))
"""


@pytest.fixture
def disk(tmp_path):
    if os.geteuid():
        pytest.skip("only root makes loop devices")
    with loop_disk(tmp_path) as made:
        yield made


def requests(disk, *which):
    return [sys.executable, "-c", READER, disk.device, *which]


def test_biolatpcts(disk):
    which = [f"r@{8192 * n}" for n in range(20)] + [f"w@{8192 * n}" for n in range(13)]
    before = disk.counts()
    cell = cell_of("biolatpcts", disk.device, command=requests(disk, *which))
    after = disk.counts()
    by_kind = cell["rwdf_100ms"].with_columns(kind=pl.col("key") // 100)
    counts = dict(by_kind.group_by("kind").agg(pl.col("value").sum()).iter_rows())
    assert counts == {0: 20, 1: 13, 2: 0, 3: 0}
    assert after["reads"] - before["reads"] == 20
    assert after["writes"] - before["writes"] == 13


def test_biopattern(disk):
    # Each begins where the last one ended, but for the 4th and the last two.
    places = [8192 * n for n in (1, 2, 3, 100, 101, 102, 103, 50, 49)]
    command = requests(disk, *(f"r@{place}" for place in places))
    words = ("-d", disk.name)
    cell = undisturbed(lambda: cell_of("biopattern", *words, command=command))
    (row,) = cell["counters"].rows(named=True)
    device = os.stat(disk.device).st_rdev
    assert row["key"] == os.major(device) << 20 | os.minor(device)
    # Of the first one the program only remembers where it ended.
    assert (row["sequential"], row["random"]) == (5, 3)
    assert row["bytes"] == 8192 * 8
