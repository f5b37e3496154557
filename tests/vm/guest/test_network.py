"""TCP over a link whose delay and loss are netem's, which the kernel of this machine lacks."""

import json
import subprocess
import sys

import polars as pl
from network_space import TWO, two_hosts

import workbench as wb

DELAY_MS = 25
"""On each way, so a round trip takes twice as long."""
SERVER = """
import socket
listener = socket.create_server(("", 0))
print(listener.getsockname()[1], flush=True)
one, _ = listener.accept()
got = 0
while got < 200_000: got += len(one.recv(1 << 16))
one.sendall(b"x")
one.recv(1)
"""
# Between the two changes of the link, what leaves it are segments with data and nothing else.
CLIENT = """
import json, socket, struct, subprocess, sys, time
def netem(*what):
    subprocess.run(["tc", "qdisc", "change", "dev", "veth0", "root", "netem", *what], check=True)
def dropped():
    told = subprocess.check_output(["tc", "-s", "-j", "qdisc", "show", "dev", "veth0"])
    return json.loads(told)[0]["drops"]
start = time.monotonic_ns()
client = socket.create_connection((sys.argv[1], int(sys.argv[2])))
took = time.monotonic_ns() - start
delay = ["delay", sys.argv[3] + "ms"]
before = dropped()
netem(*delay, "loss", "15%")
client.sendall(bytes(200_000))
client.recv(1)
after = dropped()
netem(*delay, "loss", "0%")
# tcpi_total_retrans of struct tcp_info (include/uapi/linux/tcp.h).
(again,) = struct.unpack_from("I", client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), 100)
print(json.dumps([client.getsockname()[1], took, after - before, again]))
client.close()
"""


def test_round_trips_and_losses_are_those_of_the_link(tmp_path, capfd):
    with two_hosts() as hosts:
        for name in (hosts.one, hosts.two):
            # A packet is a segment: those that are sent as one would be lost as one.
            link = ["ip", "-n", name, "link", "set", "veth0", "gso_max_segs", "1"]
            subprocess.run(link, check=True)
            shape = ["tc", "-n", name, "qdisc", "add", "dev", "veth0", "root"]
            subprocess.run([*shape, "netem", "delay", f"{DELAY_MS}ms"], check=True)
        python = [sys.executable, "-c"]
        with subprocess.Popen([*hosts.inside(hosts.two), *python, SERVER], text=True,
                              stdout=subprocess.PIPE) as server:  # fmt: skip
            try:
                port = server.stdout.readline().strip()
                command = [*hosts.inside(hosts.one), *python, CLIENT, TWO, port, str(DELAY_MS)]
                session = wb.capture(
                    {"tcp": {"sample_ms": 0}}, command=command, output=tmp_path / "s.wb",
                    progress=False,
                )  # fmt: skip
            finally:
                server.kill()
    mine, took, dropped, told = json.loads(capfd.readouterr().out)
    assert session.losses["dropped"].sum() == 0
    rows = session["tcp"].polars().filter(local_port=mine).with_columns(
        pl.col("event").cast(pl.String), pl.col("latency", "rtt").cast(pl.Int64)
    )  # fmt: skip
    least = 2 * DELAY_MS * 1_000_000
    (connect,) = rows.filter(event="connect")["latency"]
    assert least <= connect <= took
    trips = rows.filter(pl.col("rtt") > 0)["rtt"]
    # The kernel smooths in whole microseconds and may fall short of the least by its rounding.
    assert trips.min() >= least - 1_000_000
    assert trips.min() < 2 * least
    again = rows.filter(event="retransmit").height
    assert again == told
    assert dropped >= 5  # of 138 and more segments: fewer once in 10^5
    assert dropped <= again
