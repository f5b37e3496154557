"""Programs of Debian's BCC tools whose workloads need a compiler, a server or a terminal."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from bcc_tools import NEEDED, SENTINEL, cell_of, sent, serving
from programs import compiled

from workbench.probe.bcc.attach import resolved

pytestmark = NEEDED
TESTS = Path(__file__).parents[1]
QUERIES, SLOW_MS = 12, 5
ASKED = [f"select {number}" for number in range(QUERIES)]


def test_memleak(tmp_path):
    told = tmp_path / "told"
    leaker = f"""
import ctypes
c = ctypes.CDLL(None)
c.malloc.restype, c.malloc.argtypes, c.free.argtypes = (
    ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p])
made = [c.malloc(70001) for _ in range(40)]
for each in made[:10]:
    c.free(each)
print(*made[10:], file=open({str(told)!r}, "w"))
"""
    words = ["-p", SENTINEL, "-z", 70001, "-Z", 70001]
    cell = cell_of("memleak", *words, command=[sys.executable, "-c", leaker])
    left = cell["allocs"]
    assert sorted(left["key"]) == sorted(map(int, told.read_text().split()))
    assert set(left["size"]) == {70001}
    assert cell["combined_allocs"].rows() == [(left["stack_id"][0], 30 * 70001, 30)]
    assert cell["stack_traces"]["key"].to_list() == [left["stack_id"][0]]


def test_deadlock(tmp_path):
    told = tmp_path / "told"
    source = (Path(__file__).parent / "inversion.c").read_text()
    program = compiled(tmp_path, "inversion", source, "gcc", "-O1", "-pthread")
    library = resolved("c", "pthread_mutex_lock")[0].decode()
    # The tool's third function goes to the clone system call by a kprobe; this program makes its
    # threads with clone3, so that nothing has to run it.
    cell = cell_of(
        "deadlock", SENTINEL, "--binary", library, "-t", 64, "-e", 64,
        attach={"trace_clone": ["uretprobe:c:clone"]}, command=[str(program), str(told)],
    )  # fmt: skip
    one, two, first, second = map(int, told.read_text().split())
    edges = cell["edges"].select("mutex1", "mutex2", "thread_pid", "comm")
    mine = edges.filter(edges["mutex1"].is_in([one, two])).rows()  # the C library has its own
    assert set(mine) == {(one, two, first, "inversion"), (two, one, second, "inversion")}


def test_bashreadline():
    lines = ["true one", ": two", "exit"]
    shell = subprocess.Popen(
        ["bash", "--norc", "--noprofile", "-i"],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=os.environ | {"HISTFILE": ""}, start_new_session=True, text=True,
    )  # fmt: skip
    try:
        with cell_of("bashreadline", pid=shell.pid) as cell:
            shell.communicate("\n".join([*lines, ""]), timeout=60)
        events = sent(cell)
    finally:
        shell.kill()
        shell.wait()
    # A shell that waits for its first line already is not seen to return with it.
    assert events["str"].to_list() in (lines, lines[1:])
    assert set(events["pid"]) == {shell.pid}


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_sslsniff(tmp_path):
    question, answer = b"question " * 30, b"answer " * 100
    key, sends = tmp_path / "key.pem", tmp_path / "sends"
    make = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=x"
    files = ["-keyout", key, "-out", key.with_suffix(".crt")]
    subprocess.run(["openssl", *make.split(), *files], check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(key.with_suffix(".crt"), key)
    sends.write_bytes(question)

    def serve(connection):
        with context.wrap_socket(connection, server_side=True) as secure:
            got = b""
            while len(got) < len(question):
                got += secure.recv(4096)
            secure.sendall(answer)
            secure.unwrap()

    with serving(serve) as port:
        client = f"exec openssl s_client -quiet -connect 127.0.0.1:{port} < {sends}"
        words = ["-p", SENTINEL, "--no-gnutls", "--no-nss", "-l", "--handshake"]
        cell = cell_of("sslsniff", *words, command=["sh", "-c", client + " > /dev/null 2>&1"])
    events = sent(cell, "perf_SSL_rw").sort("timestamp_ns")
    assert set(events["pid"]) == {cell.source.pid}
    for way, wanted in ((1, question), (0, answer)):
        mine = events.filter(rw=way)
        assert mine["len"].sum() == len(wanted)
        data = b"".join(bytes(b)[:n] for b, n in zip(mine["buf"], mine["len"], strict=True))
        assert data == wanted


@pytest.fixture(scope="module")
def queries(tmp_path_factory):
    folder = tmp_path_factory.mktemp("queries")
    return compiled(
        folder, "queries", (TESTS / "queries.c").read_text(),
        "gcc", "-O1", "-include", str(TESTS / "sdt.h"),
    )  # fmt: skip


@pytest.fixture
def waiting(queries):
    """Process id of a database that does nothing; the tools look into it for USDT probes."""
    with subprocess.Popen([queries]) as process:
        yield process.pid
        process.kill()


def test_dbslower(queries, waiting):
    command = [str(queries), str(QUERIES), str(SLOW_MS)]
    cell = cell_of("dbslower", "mysql", "-m", "0", "-p", waiting, command=command)
    events = sent(cell).sort("timestamp")
    assert events["query"].to_list() == ASKED
    assert set(events["pid"]) == {cell.source.pid}
    assert events["duration"].min() >= SLOW_MS * 1_000_000


def test_mysqld_qslower(queries, waiting):  # those of more than a millisecond, which are all
    cell = cell_of("mysqld_qslower", waiting, command=[str(queries), str(QUERIES), str(SLOW_MS)])
    events = sent(cell).sort("ts")
    assert events["query"].to_list() == ASKED
    assert set(events["pid"]) == {cell.source.pid}
    assert events["delta"].min() >= SLOW_MS * 1_000_000


def test_dbstat(queries, waiting):
    command = [str(queries), str(QUERIES), str(SLOW_MS)]
    cell = cell_of("dbstat", "mysql", "-p", waiting, command=command)
    assert cell["latency"]["value"].sum() == QUERIES
    slots = cell["latency"].filter(cell["latency"]["value"] > 0)["key"]
    assert slots.min() >= SLOW_MS.bit_length()  # as bpf_log2l() numbers them: 4 to 7 are in slot 3
