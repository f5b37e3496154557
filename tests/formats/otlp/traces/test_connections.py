"""Connections as spans, and as the parents of requests."""

import errno

import numpy as np
from otlp_rows import CLIENT, ENDS
from otlp_sessions import T0, attributes, messages, spans, written

from workbench.formats.otlp.lives import People
from workbench.formats.otlp.traces.connections import Connections
from workbench.frames.flows import connections

ONE = CLIENT
TWO = ENDS | {"socket": 2, "inode": 12, "start": T0 + 5, "role": "server", "pid": 2000}
ROWS = [
    ONE | {"ts": T0 + 1, "event": "connect"},
    TWO | {"ts": T0 + 6, "event": "accept"},
    ONE | {"ts": T0 + 9, "event": "closed", "state": "close", "bytes_sent": 100},
    TWO | {"ts": T0 + 20, "event": "open", "state": "established", "bytes_received": 2**40},
    ENDS | {"ts": T0 + 21, "event": "open", "role": "listener", "socket": 3},
    ONE
    | {
        "ts": T0 + 30,
        "start": T0 + 25,
        "event": "closed",
        "errno": errno.ECONNREFUSED,
        "inode": 11,
    },
]


def made(rec):
    return [s for s in spans(messages(rec, "traces")) if s.name.startswith("tcp ")]


def test_one_span_per_connection(tmp_path):
    rec = written(tmp_path, tcp=ROWS)
    first, second, failed = made(rec)
    assert len(connections(rec)) == 3
    assert (first.name, first.kind) == ("tcp client", 3)
    assert (second.name, second.kind) == ("tcp server", 2)
    assert (first.start_time_unix_nano, first.end_time_unix_nano) == (T0, T0 + 9)
    shown = attributes(first)
    assert shown["server.address"] == shown["network.peer.address"] == "10.0.0.2"
    assert shown["server.port"] == 80
    assert shown["client.port"] == shown["network.local.port"] == 40000
    assert shown["network.transport"] == "tcp"
    assert shown["network.type"] == "ipv4"
    assert shown["workbench.tcp.bytes_sent"] == 100
    assert attributes(second)["server.address"] == "10.0.0.1"
    assert attributes(second)["client.address"] == "10.0.0.2"
    assert attributes(second)["workbench.tcp.bytes_received"] == 2**40
    assert attributes(failed)["error.type"] == failed.status.message == "ECONNREFUSED"
    owner = {s.span_id: s for s in spans(messages(rec, "traces"))}[first.parent_span_id]
    assert attributes(owner)["process.parent_pid"] == 1


def test_who_has_a_socket(tmp_path):
    rec = written(tmp_path, tcp=ROWS)
    first, second, again = (int.from_bytes(s.span_id, "big") for s in made(rec))
    known = Connections(rec.where(pid=1), People(rec))  # of the whole session, all the same
    found, trace = known.find([11, 12, 11, 13, 0], np.array([T0 + 3, T0 + 7, T0 + 26, T0, T0]))
    assert found.tolist() == [first, second, again, 0, 0]
    assert trace[0][0] != 0 == trace[0][3]


def test_without_connections(tmp_path):
    rec = written(tmp_path, tcp=[])
    assert not made(rec)
    assert Connections(rec, People(rec)).find([1], [1])[0].tolist() == [0]
    other = written(tmp_path / "..", sched=[])
    assert Connections(other, People(other)).find([1], [1])[0].tolist() == [0]
