"""TCP connections of programs that know what they sent, compared with ss(8) and their counts."""

import json
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from lossy_link import lossy_link

import workbench as wb
from workbench.frames import flows

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("nothing_left")]

NS = pl.col("latency", "rtt", "rtt_var").cast(pl.Int64)
TEXTS = pl.col("event", "state", "old_state", "role", "congestion", "family").cast(pl.String)


def capture(tmp_path, command, **options):
    return wb.capture("tcp", command=command, output=tmp_path / "s.wb", **options)


def python(code, *arguments):
    return [sys.executable, "-c", code, *map(str, arguments)]


def rows(session, **conditions):
    found = session["tcp"].polars().with_columns(NS, TEXTS)
    losses = session.losses.filter(kind="tcp")
    assert losses["dropped"].sum() == 0
    assert losses["delivered"].sum() == found.height
    return found.filter(**conditions).sort("ts")  # CPUs have their own buffers


# ss counts in µs with three digits; the family is that of the address that is given.
TRANSFER = """
import json, socket, subprocess, sys, threading, time
up, down, family, address = int(sys.argv[1]), int(sys.argv[2]), *json.loads(sys.argv[3])
listener = socket.socket(family)
listener.bind((address, 0))
listener.listen()
def serve():
    asked.wait()
    time.sleep(0.3)
    one, _ = listener.accept()
    while one.recv(1 << 16): pass
    one.sendall(bytes(down))
    done.wait()
    one.close()
asked, done = threading.Event(), threading.Event()
server = threading.Thread(target=serve)
server.start()
client = socket.socket(family)
client.connect(listener.getsockname())
asked.set()
port = client.getsockname()[1]
inode = __import__("os").fstat(client.fileno()).st_ino
client.sendall(bytes(up))
client.shutdown(socket.SHUT_WR)
got = 0
while got < down: got += len(client.recv(1 << 16))
time.sleep(0.1)
seen = subprocess.check_output(["ss", "-tineH", "sport", "=", str(port)], text=True)
done.set()
client.close()
server.join()
print(json.dumps([port, listener.getsockname()[1], inode, seen]))
"""


def told_by_ss(text):
    """Counters of a connection as ss prints them: name:value."""
    found = {name: int(value) for name, value in re.findall(r"\b(\w+):(\d+)(?=\s|$)", text)}
    return found | {"cookie": int(re.search(r"\bsk:([0-9a-f]+)", text)[1], 16)}


@pytest.mark.parametrize("transport", ["ring", "perf"])
@pytest.mark.parametrize("place", [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_bytes_are_those_of_the_program_and_of_ss(tmp_path, capfd, place, transport):
    command = python(TRANSFER, 1_000_000, 300_000, json.dumps(place))
    session = capture(tmp_path, command, transport=transport)
    port, service, inode, text = json.loads(capfd.readouterr().out)
    seen = told_by_ss(text)
    client, server = (
        flows.connections(session).filter(role=role).row(0, named=True)
        for role in ("client", "server")
    )
    assert (client["local_port"], client["remote_port"]) == (port, service)
    assert (server["local_port"], server["remote_port"]) == (service, port)
    assert {client["local_address"], client["remote_address"]} == {place[1]}
    assert client["family"] == ("ipv4" if place[0] == socket.AF_INET else "ipv6")
    assert (client["bytes_sent"], client["bytes_received"]) == (1_000_000, 300_000)
    assert (server["bytes_sent"], server["bytes_received"]) == (300_000, 1_000_000)
    assert (client["end"], server["end"], client["errno"], server["errno"]) == (
        "close",
        "close",
        0,
        0,
    )
    assert not client["partial"]
    assert client["socket"] == seen["cookie"]
    last = rows(session, event="closed", role="client").row(0, named=True)
    assert last["bytes_acked"] == seen["bytes_acked"] == 1_000_002  # SYN and FIN
    assert last["bytes_received"] == seen["bytes_received"]
    assert last["bytes_retrans"] == seen.get("bytes_retrans", 0)
    assert set(rows(session, role="client").filter(pl.col("ts") > pl.col("start"))["inode"]) == {
        inode
    }
    assert rows(session, event="open").is_empty()


def test_the_life_of_a_connection(tmp_path, capfd):
    session = capture(tmp_path, python(TRANSFER, 10, 10, json.dumps((2, "127.0.0.1"))))
    capfd.readouterr()
    lives = {
        role: rows(session, role=role)
        .filter(pl.col("event").is_in(["state", "connect", "closed"]))
        .sort("ts")
        for role in ("client", "server")
    }
    assert lives["client"]["state"].to_list() == [
        "syn_sent", "established", "fin_wait1", "fin_wait2", "close",
    ]  # fmt: skip
    assert lives["server"]["state"].to_list() == [
        "syn_recv", "established", "close_wait", "last_ack", "close",
    ]  # fmt: skip
    for life in lives.values():  # each state begins where the one before ended
        assert life["old_state"].to_list()[1:] == life["state"].to_list()[:-1]
        inner = life.filter(event="state")[1:]
        steps = life["ts"].cast(pl.Int64).diff().drop_nulls()
        assert sum(inner["latency"]) <= steps.sum()
    connect = lives["client"].filter(event="connect").row(0, named=True)
    closed = lives["client"].filter(event="closed").row(0, named=True)
    for row in (connect, closed):  # in ns, which datetimes of Python do not hold
        assert abs((row["ts"] - row["start"]).total_seconds() * 1e9 - row["latency"]) < 2000


def test_the_accept_waits_as_long_as_the_program_lets_it(tmp_path, capfd):
    session = capture(tmp_path, python(TRANSFER, 10, 10, json.dumps((2, "127.0.0.1"))))
    capfd.readouterr()
    (found,) = rows(session, event="accept").iter_rows(named=True)
    closed = rows(session, event="closed", role="server").row(0, named=True)
    assert 0.29e9 < found["latency"] < closed["latency"]
    assert found["tid"] != found["pid"]  # the thread that serves
    assert closed["tid"] == found["tid"]  # and to whom it belongs from there on


REFUSED = """
import errno, json, socket
taken = socket.socket()
taken.bind(("127.0.0.1", 0))  # nobody listens there, and nobody else will
numbers = []
for _ in range(5):
    one = socket.socket()
    numbers.append(one.connect_ex(taken.getsockname()))
    one.close()
print(json.dumps([taken.getsockname()[1], numbers]))
"""


def test_refused_connections_are_resets(tmp_path, capfd):
    session = capture(tmp_path, python(REFUSED))
    port, numbers = json.loads(capfd.readouterr().out)
    found = flows.connections(session)
    assert found["errno"].to_list() == numbers == [111] * 5
    assert found["resets_received"].to_list() == [1] * 5
    assert found["connect"].null_count() == 5
    assert set(found["remote_port"]) == {port}
    assert flows.edges(session)["failed"].to_list() == [5]


RESET = """
import socket, struct
listener = socket.create_server(("127.0.0.1", 0))
for _ in range(3):
    client = socket.create_connection(listener.getsockname())
    server, _ = listener.accept()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    server.close()
    try: client.recv(1)
    except ConnectionResetError: print("reset")
    client.close()
"""


def test_resets_have_two_sides(tmp_path, capfd):
    session = capture(tmp_path, python(RESET))
    assert capfd.readouterr().out.split() == ["reset"] * 3
    found = flows.connections(session)
    assert found.filter(role="server")["resets_sent"].to_list() == [1] * 3
    assert found.filter(role="client")["resets_received"].to_list() == [1] * 3


def slices_of_pid_1() -> int:
    """Return how often it had a CPU (Documentation/scheduler/sched-stats.rst)."""
    return int(Path("/proc/1/schedstat").read_text().split()[2])


def test_lost_segments_are_sent_again(tmp_path, capfd):
    """A classifier on the link drops exactly six segments."""
    before = slices_of_pid_1()
    with lossy_link(tmp_path) as command:
        session = capture(tmp_path, command, sample_ms=0)
    mine, seen = json.loads(capfd.readouterr().out)
    again = rows(session, event="retransmit")
    total = int(re.search(r"\bretrans:\d+/(\d+)", seen)[1])
    # Timers send again in whatever process they interrupt, and in pid 1 no program runs here.
    assert total - (slices_of_pid_1() - before) <= again.height <= total
    assert total >= 6
    assert set(again["size"]) == {100}
    assert set(again["reason"]) <= {"timeout", "probe", "fast"}
    assert set(again["local_port"]) == {mine}
    (found,) = flows.connections(session).iter_rows(named=True)
    assert (found["bytes_sent"], found["bytes_received"]) == (1200, 12)
    assert (found["retransmits"], found["bytes_retrans"]) == (total, 100 * total)
    # The round-trip time that ss shows is one of those in the samples.
    samples = rows(session).filter(pl.col("rtt") > 0)["rtt"]
    shown = float(re.search(r"\brtt:([\d.]+)/", seen)[1]) * 1e6
    assert any(value == pytest.approx(shown, abs=1500) for value in samples)
    assert int(re.search(r"\bcwnd:(\d+)", seen)[1]) in set(rows(session)["cwnd"])
    # The kernel says where the segments went: of the classifier, and of nobody else, are six.
    lost = rows(session, event="drop").filter(pl.col("reason").is_in(["tc_ingress", "tc_egress"]))
    assert lost.height == 6
    assert set(lost["local_port"]) == {mine}
    troubles = flows.troubles(session).filter(pl.col("reason").is_in(lost["reason"].unique()))
    assert troubles["count"].to_list() == [6]
    assert set(rows(session, event="congestion")["congestion"]) <= {
        "open",
        "disorder",
        "recovery",
        "loss",
        "cwr",
    }


SERVER = """
import socket, sys
listener = socket.create_server(("127.0.0.1", 0))
old = socket.create_connection(listener.getsockname())
peer, _ = listener.accept()
print(listener.getsockname()[1], old.getsockname()[1], flush=True)
sys.stdin.readline()
old.sendall(b"x" * 500)
peer.recv(500)
one, _ = listener.accept()
one.recv(10)
print("served", flush=True)
sys.stdin.readline()
"""


def test_sockets_that_were_open_before_and_after(tmp_path):
    """A listener that is there already passes its owner on; connections that stay are told."""
    with subprocess.Popen(python(SERVER), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as child:  # fmt: skip
        try:
            service, old = map(int, child.stdout.readline().split())
            with wb.capture("tcp", pid=child.pid, output=tmp_path / "s.wb"):
                child.stdin.write("\n")
                child.stdin.flush()
                with socket.create_connection(("127.0.0.1", service)) as mine:
                    mine.sendall(b"0123456789")
                    assert child.stdout.readline() == "served\n"
                    port = mine.getsockname()[1]
                    time.sleep(0.1)
            session = wb.open(tmp_path / "s.wb")
        finally:
            child.kill()
    left = rows(session, event="open")
    assert set(left["pid"]) == {child.pid}
    found = flows.connections(session)
    assert dict(found.select("remote_port", "partial").iter_rows()) == {
        port: False, service: True, old: True,
    }  # fmt: skip
    assert dict(found.select("local_port", "bytes_sent").iter_rows())[old] == 500
    assert dict(found.select("remote_port", "bytes_received").iter_rows())[port] == 10
    assert left.filter(state="listen", role="listener").height == 1
    # What the other end, which is this process, did is nobody's business.
    assert port not in set(found["local_port"])


def test_a_full_buffer_loses_no_count(tmp_path, capfd):
    code = """
import socket
listener = socket.create_server(("127.0.0.1", 0))
for _ in range(2000):
    one = socket.create_connection(listener.getsockname())
    two, _ = listener.accept()
    one.close()
    two.close()
"""
    session = capture(tmp_path, python(code), ring_bytes=4096)
    losses = session.losses.filter(kind="tcp")
    assert losses["delivered"].sum() == session["tcp"].num_rows
    assert losses["dropped"].sum() > 0
    assert losses["produced"].sum() == losses["delivered"].sum() + losses["dropped"].sum()
    assert losses["produced"].sum() >= 2000 * 9
