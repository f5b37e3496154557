"""What the kernel counts of TCP, against programs that know what they sent, and single events."""

import json
import re
import sys

import polars as pl
import pytest
from lossy_link import lossy_link

import workbench as wb
from workbench.frames import flows

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("nothing_left")]

CONVERSATIONS = """
import json, socket, sys, threading
listener = socket.create_server(("127.0.0.1", 0))
port = listener.getsockname()[1]
def serve():
    for _ in range(20):
        one, _ = listener.accept()
        while one.recv(65536): pass
        one.sendall(bytes(1000))
        one.close()
server = threading.Thread(target=serve)
server.start()
for _ in range(20):
    client = socket.create_connection(("127.0.0.1", port))
    client.sendall(bytes(50_000))
    client.shutdown(socket.SHUT_WR)
    while client.recv(65536): pass
    client.close()
server.join()
listener.close()
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    nobody = free.getsockname()[1]
for _ in range(3):
    try: socket.create_connection(("127.0.0.1", nobody))
    except ConnectionRefusedError: pass
print(json.dumps([port, nobody]))
"""


def last(session):
    found = session["tcp_agg"].polars().with_columns(pl.col("role").cast(pl.String))
    return found.filter(pl.col("ts") == pl.col("ts").max())


def test_counts_are_those_of_the_program(tmp_path, capfd):
    command = [sys.executable, "-c", CONVERSATIONS]
    session = wb.capture({"tcp": {"aggregate": True}}, command=command, output=tmp_path / "s.wb")
    port, nobody = json.loads(capfd.readouterr().out)
    rows = {(row["role"], row["port"]): row for row in last(session).iter_rows(named=True)}
    client, server, refused = rows["client", port], rows["server", port], rows["client", nobody]
    assert (client["connections"], client["connects"], client["closes"]) == (20, 20, 20)
    assert (server["connections"], server["accepts"], server["closes"]) == (20, 20, 20)
    assert (client["bytes_sent"], client["bytes_received"]) == (1_000_000, 20_000)
    assert (server["bytes_sent"], server["bytes_received"]) == (20_000, 1_000_000)
    assert (refused["connections"], refused["connect_errors"], refused["connects"]) == (3, 3, 0)
    assert refused["resets_received"] == 3
    for name, count in (("connect", 20), ("duration", 20)):
        assert sum(client[f"{name}_hist"]) == count
    assert sum(server["accept_hist"]) == 20
    assert set(last(session)["remote_address"]) - {"0.0.0.0"} == {"127.0.0.1"}
    losses = session.losses.filter(kind="tcp")
    assert losses["produced"].sum() == losses["delivered"].sum() == last(session)["events"].sum()
    edges = flows.edges(session).filter(role="client").select("port", "connections", "failed")
    assert sorted(edges.rows()) == sorted([(port, 20, 0), (nobody, 3, 3)])


def test_segments_that_were_sent_again(tmp_path, capfd):
    with lossy_link(tmp_path) as command:
        session = wb.capture(
            {"tcp": {"aggregate": True, "sample_ms": 0}}, command=command, output=tmp_path / "s.wb"
        )
    _, seen = json.loads(capfd.readouterr().out)
    (row,) = last(session).iter_rows(named=True)
    total = int(re.search(r"\bretrans:\d+/(\d+)", seen)[1])
    assert row["retransmits"] == total >= 6
    assert (row["bytes_sent"], row["bytes_received"]) == (1200, 12)
    assert row["bytes_retrans"] == 100 * total
    assert sum(row["rtt_hist"]) > 0


# In a network of its own, whose counters nobody else changes; its backlog has room for two.
FULL = """
import json, socket, time
def counters():
    with open("/proc/net/netstat") as file:
        names, values = [line.split()[1:] for line in file if line.startswith("TcpExt:")]
    return dict(zip(names, map(int, values)))
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(1)
clients = [socket.socket() for _ in range(8)]
for one in clients:
    one.setblocking(False)
    one.connect_ex(listener.getsockname())
while counters()["ListenOverflows"] < 6: time.sleep(0.01)
for one in clients: one.close()  # those that wait send no SYN any more
time.sleep(0.3)
print(json.dumps([listener.getsockname()[1], counters()["ListenDrops"]]))
"""


@pytest.mark.parametrize("aggregate", [False, True])
def test_connections_that_a_full_backlog_drops(tmp_path, capfd, aggregate):
    inside = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$0" -c "$1"']
    command = [*inside, sys.executable, FULL]
    session = wb.capture("tcp", command=command, output=tmp_path / "s.wb", aggregate=aggregate)
    port, dropped = json.loads(capfd.readouterr().out)
    assert dropped >= 6
    found = flows.listeners(session)
    assert found.select("port", "dropped").rows() == [(port, dropped)]
