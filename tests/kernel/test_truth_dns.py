"""Lookups at a server that is known to be slow, to know some names, and at a hostile one."""

import json
import random
import socket
import subprocess
import sys

import polars as pl
import pytest
from dns_messages import query, server
from network_space import two_hosts
from sendmmsg import SENDMMSG

import workbench as wb
from workbench.frames import dns

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("nothing_left")]

TEXTS = pl.col("message", "direction", "rcode").cast(pl.String)


def rows(session, **conditions):
    found = session["dns"].polars().with_columns(TEXTS, pl.col("latency").cast(pl.Int64))
    losses = session.losses.filter(kind="dns")
    assert losses["dropped"].sum() == 0
    assert losses["delivered"].sum() == found.height
    return found.filter(**conditions).sort("ts")  # CPUs have their own buffers


CLIENT = """
import json, socket, sys, time
def now(): return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
port, queries = int(sys.argv[1]), [bytes.fromhex(text) for text in json.loads(sys.argv[2])]
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
if sys.argv[3] == "connected": client.connect(("127.0.0.1", port))
for one in queries:
    start = now()
    if sys.argv[3] == "connected": client.send(one)
    else: client.sendto(one, ("127.0.0.1", port))
    data, peer = client.recvfrom(2000)
    print(now() - start)
"""
NAMES = ["www.example.org", "no.example.org", "slow.example.org", "WWW.example.org"]


@pytest.mark.parametrize("transport", ["ring", "perf"])
@pytest.mark.parametrize("way", ["connected", "sendto"])
def test_latencies_are_those_of_the_client(tmp_path, capfd, way, transport):
    asked = json.dumps([query(7 * n, name, 28 if n == 3 else 1).hex()
                        for n, name in enumerate(NAMES)])  # fmt: skip
    with server("127.0.0.1", 0, 0.02) as (_, port):
        session = wb.capture(
            "dns", command=[sys.executable, "-c", CLIENT, str(port), asked, way],
            output=tmp_path / "s.wb", dns_port=port, transport=transport,
        )  # fmt: skip
    told = list(map(int, capfd.readouterr().out.split()))
    asks, answers = (rows(session, message=m).sort("ts") for m in ("query", "answer"))
    for found in (asks, answers):
        assert found["qname"].to_list() == NAMES
        assert found["qtype"].to_list() == ["A", "A", "A", "AAAA"]
        assert found["id"].to_list() == [0, 7, 14, 21]
        assert set(found["remote_port"]) == {port}
        assert set(found["remote_address"]) == {"127.0.0.1"}
        assert found["malformed"].sum() == 0
    assert answers["rcode"].to_list() == ["noerror", "nxdomain", "noerror", "noerror"]
    assert answers["answers"].to_list() == [1, 0, 1, 0]
    assert asks["size"].to_list() == [len(bytes.fromhex(one)) for one in json.loads(asked)]
    for latency, wait, least in zip(answers["latency"], told, [20, 20, 70, 20], strict=True):
        assert least * 1e6 < latency <= wait
    names = dns.by_name(session)
    assert names.filter(qname="no.example.org")["nxdomain"].to_list() == [1]
    assert names.filter(qname="www.example.org", qtype="AAAA")["empty"].to_list() == [1]
    assert set(names["role"]) == {"client"}


def test_a_server_knows_how_long_it_took(tmp_path):
    with server("127.0.0.1", 0, 0.02) as (child, port):
        asked = json.dumps([query(n, name).hex() for n, name in enumerate(NAMES)])
        with wb.capture("dns", pid=child.pid, output=tmp_path / "s.wb", dns_port=port):
            subprocess.run([sys.executable, "-c", CLIENT, str(port), asked, "sendto"], check=True,
                           stdout=subprocess.DEVNULL)  # fmt: skip
        session = wb.open(tmp_path / "s.wb")
    assert rows(session)["direction"].to_list() == ["receive", "send"] * 4
    found = dns.by_name(session)
    assert set(found["role"]) == {"server"}
    assert found["answers"].sum() == 4
    waits = found.with_columns(pl.col("p50").cast(pl.Int64))
    assert all(least < wait for least, wait in [
        (0.07e9, waits.filter(qname="slow.example.org")["p50"][0]),
        (0.02e9, waits.filter(qname="no.example.org")["p50"][0]),
    ])  # fmt: skip


RESOLVER = """
import socket
for name in ("www.example.org", "no.example.org"):
    try: print(socket.getaddrinfo(name, 80, type=socket.SOCK_STREAM)[0][4][0])
    except socket.gaierror as error: print(error.errno == socket.EAI_NONAME)
"""


def test_lookups_of_the_c_library(tmp_path, capfd):
    """It asks for both addresses in one call."""
    resolver = tmp_path / "resolv.conf"
    resolver.write_text("nameserver 127.0.0.1\noptions timeout:60\n")
    with two_hosts() as hosts:
        inside = hosts.inside(hosts.one)  # with mounts of its own
        program = f"mount --bind {resolver} /etc/resolv.conf && exec \"$0\" -c '{RESOLVER}'"
        with server("127.0.0.1", 53, 0.01, inside=inside):
            script = program.replace("'", "'\\''")
            command = [*inside, "sh", "-c", f"eval '{script}'", sys.executable]
            session = wb.capture("dns", command=command, output=tmp_path / "s.wb")
    assert capfd.readouterr().out.split() == ["192.0.2.1", "True"]
    found = dns.by_name(session)
    assert set(found.select("qname", "qtype", "queries", "answers", "nxdomain").iter_rows()) == {
        ("www.example.org", "A", 1, 1, 0),
        ("www.example.org", "AAAA", 1, 1, 0),
        ("no.example.org", "A", 1, 1, 1),
        ("no.example.org", "AAAA", 1, 1, 1),
    }
    assert found["p50"].null_count() == 0


def test_queries_of_one_call_that_are_too_many_are_counted(tmp_path):
    asked = [query(n, f"n{n}.org") for n in range(7)]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        code = f"{SENDMMSG}\nclient.connect(('127.0.0.1', {port}))\nsend_all(client, {asked})"
        command = [sys.executable, "-c", code]
        session = wb.capture("dns", command=command, output=tmp_path / "s.wb", dns_port=port)
        assert [server.recv(100) for _ in asked] == asked
    assert session["dns"].polars()["qname"].to_list() == [f"n{n}.org" for n in range(4)]
    losses = session.losses.filter(kind="dns")
    assert (losses["produced"].sum(), losses["dropped"].sum()) == (7, 3)


HOSTILE = """
import json, socket, sys
one, two = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
two.bind(("127.0.0.1", 0))
print(two.getsockname()[1], flush=True)
packets = [bytes.fromhex(text) for text in json.loads(sys.stdin.readline())]
for packet in packets:
    one.sendto(packet, two.getsockname())
    two.recv(4000)
"""


def hostile():
    """Messages that are none: too short, labels without end, pointers to themselves, noise."""
    random.seed(5)
    head = bytes.fromhex("0001010000010000 00000000")
    packets = [b"", b"x", head[:11], head, head + b"\x3f", head + b"\xc0\x0c\0\1\0\1"]
    packets += [head + b"\x01a" * 200, head + b"\x3f" + b"b" * 63, head + (b"\x3f" + b"c" * 63) * 9]
    packets += [head + b"\x01a" * 127 + b"\0" + b"\0\1\0\1", head + b"\x01a" * 128 + b"\0\0\1\0\1"]
    packets += [head + b"\0", head + b"\0\0\xff", head + b"\0\0\xff\0\1"]
    packets += [random.randbytes(random.randrange(12, 600)) for _ in range(200)]
    return packets


def test_hostile_messages(tmp_path):
    packets = hostile()
    with subprocess.Popen([sys.executable, "-c", HOSTILE], stdin=subprocess.PIPE, text=True,
                          stdout=subprocess.PIPE) as child:  # fmt: skip
        try:
            port = int(child.stdout.readline())
            with wb.capture("dns", pid=child.pid, output=tmp_path / "s.wb", dns_port=port):
                child.communicate(json.dumps([packet.hex() for packet in packets]) + "\n")
            session = wb.open(tmp_path / "s.wb")
        finally:
            child.kill()
    long = [packet for packet in packets if len(packet) >= 12]
    found = rows(session)
    assert found.height == 2 * len(long)
    sent = found.filter(direction="send").sort("ts")
    assert sent["size"].to_list() == [len(packet) for packet in long]
    whole = sent.filter(malformed=0)
    assert (".", "ANY") in set(whole.select("qname", "qtype").iter_rows())
    assert ".".join("a" * 127) in set(whole["qname"])
    assert sent["malformed"].sum() > len(long) - 20  # noise may happen to be well formed
