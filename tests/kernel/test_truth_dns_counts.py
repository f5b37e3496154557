"""What the kernel counts of DNS, against programs that know what they asked, and single events."""

import json
import socket
import subprocess
import sys

import polars as pl
import pytest
from dns_messages import query, server

import workbench as wb
from workbench.frames import dns

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("nothing_left")]

ROOM = 16384
"""Keys that the program counts at most, ``bpf/dns.bpf.c``."""
MESSAGES = pl.col("messages")
# Asks, and waits for the answer where it is told to; prints for how long, of each query.
CLIENT = """
import json, socket, sys, time
def now(): return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
asked = [(port, bytes.fromhex(text), waits) for port, text, waits in json.loads(sys.argv[1])]
client, nobody = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
nobody.bind(("127.0.0.1", 0))
took = []
for port, one, waits in asked:
    start = now()
    client.sendto(one, ("127.0.0.1", port or nobody.getsockname()[1]))
    if waits: client.recvfrom(2000)
    took.append(now() - start)
print(json.dumps(took))
"""
A, AAAA, STRANGE, STRANGER = 1, 28, 300, 65000
ASKED = [
    ("www.example.org", A), ("WWW.Example.ORG", A), ("www.example.org", AAAA),
    ("no.example.org", A), ("slow.example.org", A), ("slow.example.org", A),
    ("www.example.org", STRANGE), ("www.example.org", STRANGER), ("www.example.org", A),
]  # fmt: skip
LEAST = [0.02, 0.02, 0.02, 0.02, 0.07, 0.07, 0.02, 0.02, 0.02]
"""Seconds that the server takes at least."""
# Name, type, queries, answers, unanswered, nxdomain, failed, empty. Nobody waits for the last one.
WANTED = {
    ("www.example.org", "A", 3, 3, 0, 0, 0, 0),
    ("www.example.org", "AAAA", 1, 1, 0, 0, 0, 1),
    ("www.example.org", "other", 2, 2, 0, 0, 0, 2),
    ("no.example.org", "A", 1, 1, 0, 1, 0, 0),
    ("slow.example.org", "A", 2, 2, 0, 0, 0, 0),
    ("lost.example.org", "A", 2, 0, 2, 0, 0, 0),
}
COUNTS = ("qname", "qtype", "queries", "answers", "unanswered", "nxdomain", "failed", "empty")


def last(session):
    found = session["dns_agg"].polars()
    losses = session.losses.filter(kind="dns")
    kept = found.select(MESSAGES.sum()).item()
    assert losses["delivered"].sum() == kept
    assert losses["produced"].sum() == kept + losses["dropped"].sum()
    return found.with_columns(
        pl.col("role", "qtype").cast(pl.String), pl.col("latency_sum", "latency_max").cast(pl.Int64)
    )


def ask(folder, port, capfd, **options):
    """Ask all of that, and something at another port; return the session, and the times."""
    asked = [[port, query(n, *one).hex(), True] for n, one in enumerate(ASKED)]
    asked += [[0, query(99, "nobody.example.org").hex(), False]]
    asked += [[port, query(100 + n, "lost.example.org").hex(), False] for n in range(2)]
    command = [sys.executable, "-c", CLIENT, json.dumps(asked)]
    options |= {"dns_port": port, "output": folder / "s.wb"}
    session = wb.capture("dns", command=command, **options)
    return session, json.loads(capfd.readouterr().out)[: len(ASKED)]


@pytest.mark.parametrize("aggregate", [False, True])
def test_counts_are_those_of_the_client_and_of_events(tmp_path, capfd, aggregate):
    with server("127.0.0.1", 0, 0.02) as (_, port):
        session, took = ask(tmp_path, port, capfd, aggregate=aggregate)
    assert next(iter(session.tables)) == ("dns_agg" if aggregate else "dns")
    names = dns.by_name(session)
    assert set(names["role"]) == {"client"}
    assert set(names.select(COUNTS).iter_rows()) == WANTED
    (there,) = dns.by_server(session).iter_rows(named=True)
    assert there["remote_address"] == "127.0.0.1"
    assert (there["queries"], there["answers"], there["unanswered"]) == (11, 9, 2)
    for name, kind in {(name.lower(), kind) for name, kind in ASKED if kind < STRANGE}:
        mine = [n for n, one in enumerate(ASKED) if (one[0].lower(), one[1]) == (name, kind)]
        text = {A: "A", AAAA: "AAAA"}[kind]
        (row,) = names.filter(qname=name, qtype=text).iter_rows(named=True)
        longest = row["max"].total_seconds()
        assert max(LEAST[n] for n in mine) <= longest <= max(took[n] for n in mine) / 1e9
        # Interpolated in a power of two, from counts.
        assert min(LEAST[n] for n in mine) / 2 < row["p50"].total_seconds() <= longest


def test_sums_and_histograms(tmp_path, capfd):
    with server("127.0.0.1", 0, 0.02) as (_, port):
        session, took = ask(tmp_path, port, capfd, aggregate=True)
    rows = last(session)
    assert rows.select("queries", "answers", "answered").sum().row(0) == (11, 9, 9)
    assert sum(LEAST) * 1e9 < rows["latency_sum"].sum() <= sum(took)
    for row in rows.iter_rows(named=True):
        assert sum(row["latency_hist"]) == row["answered"] == sum(row["rcodes"])
        slots = [n for n, count in enumerate(row["latency_hist"]) if count]
        assert not slots or 2 ** slots[-1] <= row["latency_max"] < 2 ** (slots[-1] + 1)
    assert rows.filter(qname="no.example.org")["rcodes"][0][3] == 1
    sizes = sum(len(query(0, *one)) for one in [*ASKED, *[("lost.example.org", A)] * 2])
    assert rows["query_bytes"].sum() == sizes


def test_a_server_counts_its_clients(tmp_path, capfd):
    with server("127.0.0.1", 0, 0.02) as (child, port):
        options = {"output": tmp_path / "s.wb", "dns_port": port, "aggregate": True}
        with wb.capture("dns", pid=child.pid, **options):
            asked = [[port, query(n, *one).hex(), True] for n, one in enumerate(ASKED)]
            command = [sys.executable, "-c", CLIENT, json.dumps(asked)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        session = wb.open(tmp_path / "s.wb")
    assert set(last(session)["pid"]) == {child.pid}
    (there,) = dns.by_server(session).iter_rows(named=True)
    assert (there["role"], there["queries"], there["answers"]) == ("server", 9, 9)
    assert there["max"].total_seconds() > 0.07


# Asks for names, each once, and then for the first ones again. Nobody answers.
MANY = """
import socket, sys
sys.path[:0] = {path!r}
from dns_messages import query
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.connect(("127.0.0.1", {port}))
for n in [*range({names}), *range({again})]: client.send(query(n & 0xffff, f"n{{n}}.example.org"))
"""


def test_what_finds_no_room_is_counted_exactly(tmp_path):
    names, again = ROOM + 500, 200
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        code = MANY.format(names=names, again=again, path=sys.path, port=port)
        session = wb.capture(
            "dns", command=[sys.executable, "-c", code], output=tmp_path / "s.wb", dns_port=port,
            aggregate=True,
        )  # fmt: skip
    rows = last(session)
    losses = session.losses.filter(kind="dns")
    assert losses["produced"].sum() == names + again
    assert losses["dropped"].sum() == losses["map_full"].sum() == names - ROOM
    # The names that were first have their room, also later.
    assert set(rows["qname"]) == {f"n{n}.example.org" for n in range(ROOM)}
    twice = {f"n{n}.example.org" for n in range(again)}
    assert set(rows.filter(MESSAGES == 2)["qname"]) == twice
    assert set(rows.filter(~pl.col("qname").is_in(twice))["messages"]) == {1}
