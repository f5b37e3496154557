"""A small shop on loopback with a fault for each part of the system that can be slow.

A service (HTTP and a name server) sells things; buyers ask it; packers compute. What is wrong with
it, and what finds each:

- `pack`: all packers are bound to one CPU and queue for it (``sched``).
- `Journal.append` holds its lock until the disk has the line (``locks``, ``block``, ``files``).
- `Service.price_of` reads the whole price list at each request (``files``, ``pagecache``).
- `buy` asks for the service's name and connects anew each time; every fifth name has a mistake,
  every tenth thing does not exist (``tcp``, ``dns``, ``http``).
- `Service.remember` keeps each receipt for ever (``memory``).

It needs nothing but Python, and prints what it did as JSON, by which tests compare.
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import os
import socket
import struct
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from multiprocessing.connection import Connection
from pathlib import Path

PACKERS, PARCELS, STEPS = 4, 40, 20_000
WRITERS, LINES = 4, 12
BUYS = 60
PRICE_LIST_BYTES = 1 << 20
RECEIPT_BYTES = 30_000
NAME, MISTAKE = "shop.test", "shpo.test"
HOST = "127.0.0.1"
NXDOMAIN = 3
"""Response code of RFC 1035, 4.1.1."""


def call_thread(name: str) -> None:
    """Name this thread for the kernel, which Python does only from 3.14 on."""
    with suppress(OSError):
        Path("/proc/thread-self/comm").write_text(name)


# Packers: they compute, all on one CPU.


def pack(number: int) -> None:
    """Pack parcels on the one CPU that all packers are bound to."""
    call_thread(f"packer-{number}")
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    for parcel in range(PARCELS):
        wrap(parcel)


def wrap(parcel: int) -> int:
    """Compute for a moment."""
    return sum((parcel + step) & 0xFF for step in range(STEPS))


# The journal: several threads write, one at a time.


class Journal:
    """Lines on disk, safe before the next one may be written."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("wb", buffering=0)
        self.lock = threading.Lock()
        self.lines = 0

    def append(self, line: bytes) -> None:
        """Write a line, and keep everybody else out until the disk has it."""
        with self.lock:
            self.file.write(line)
            os.fsync(self.file.fileno())
            self.lines += 1


def write_journal(path: Path) -> int:
    """Append from several threads at once; return the number of lines."""
    journal = Journal(path)

    def run(number: int) -> None:
        call_thread(f"writer-{number}")
        for line in range(LINES):
            journal.append(f"{number}: {line}\n".encode().ljust(4096))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.file.close()
    return journal.lines


# The service: names by UDP, prices by HTTP.


def question(name: str, identity: int) -> bytes:
    """Return a DNS query for the address of a name (RFC 1035, 4.1)."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    return struct.pack(">6H", identity, 0x0100, 1, 0, 0, 0) + labels + b"\0" + b"\0\1\0\1"


def answer(query: bytes) -> bytes:
    """Return the answer: this host for the shop, no such name for all others."""
    known = question(NAME, 0)[12:] == query[12:]
    flags = 0x8180 if known else 0x8180 | NXDOMAIN
    head = query[:2] + struct.pack(">5H", flags, 1, int(known), 0, 0)
    record = b"\xc0\x0c\0\1\0\1" + struct.pack(">IH", 60, 4) + socket.inet_aton(HOST)
    return head + query[12:] + (record if known else b"")


class Service(HTTPServer):
    """Prices, and receipts that it never forgets."""

    def __init__(self, folder: Path) -> None:
        super().__init__((HOST, 0), Handler)
        self.prices = folder / "prices"
        self.prices.write_bytes(bytes(PRICE_LIST_BYTES))
        self.receipts: list[bytes] = []

    def price_of(self, thing: int) -> int:
        """Read the whole list for one price."""
        return self.prices.read_bytes()[thing]

    def remember(self, thing: int) -> None:
        """Keep a receipt; nobody ever asks for it."""
        self.receipts.append(bytes(RECEIPT_BYTES - thing % 2))


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Service

    def do_GET(self) -> None:
        """Answer with a price, or that there is no such thing."""
        thing = self.path.removeprefix("/price/").partition("?")[0]
        found = thing.isdecimal()
        body = b"no such thing"
        if found:
            body = str(self.server.price_of(int(thing))).encode()
            self.server.remember(int(thing))
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def answer_names(names: socket.socket) -> None:
    """Answer questions for ever."""
    call_thread("shop-names")
    while True:
        query, asker = names.recvfrom(512)
        names.sendto(answer(query), asker)


def serve(folder: Path, names: socket.socket, ready: Connection) -> None:
    """Run the service, until it is terminated."""
    call_thread("shop-service")
    service = Service(folder)
    threading.Thread(target=answer_names, args=(names,), daemon=True).start()
    ready.send(service.server_port)
    service.serve_forever()


# Buyers: what they do for one price.


def look_up(name: str, port: int, identity: int) -> str:
    """Return the address of a name, "" if there is no such name."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.connect((HOST, port))
        asker.send(question(name, identity))
        reply = asker.recv(512)
    return socket.inet_ntoa(reply[-4:]) if reply[7] else ""


def buy(number: int, port: int, dns_port: int) -> int:
    """Look the service up, connect, ask for a price; return the status."""
    if number % 5 == 4:
        look_up(MISTAKE, dns_port, number)
    address = look_up(NAME, dns_port, number)
    path = "/offer" if number % 10 == 9 else f"/price/{number % 8}"
    shop = http.client.HTTPConnection(address, port)
    shop.request("GET", path)
    reply = shop.getresponse()
    reply.read()
    shop.close()
    return reply.status


def run(folder: Path, dns_port: int) -> dict[str, int]:
    """Open the shop, do everything once, close it; return what was done."""
    forked = multiprocessing.get_context("fork")
    mine, its = forked.Pipe()
    names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    names.bind((HOST, dns_port))
    dns_port = names.getsockname()[1]
    service = forked.Process(target=serve, args=(folder, names, its))
    service.start()
    port = mine.recv()
    packers = [forked.Process(target=pack, args=(number,)) for number in range(PACKERS)]
    for packer in packers:
        packer.start()
    for packer in packers:
        packer.join()
    lines = write_journal(folder / "journal")
    call_thread("buyer")
    statuses = [buy(number, port, dns_port) for number in range(BUYS)]
    service.terminate()  # as services end: by a signal, with all that they hold
    service.join()
    good = statuses.count(200)
    return {
        "parcels": PACKERS * PARCELS,
        "lines": lines,
        "requests": len(statuses),
        "not_found": statuses.count(404),
        "queries": BUYS + BUYS // 5,
        "prices_read_bytes": good * PRICE_LIST_BYTES,
        "receipts": good,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the shop from a command line."""
    parser = argparse.ArgumentParser(description="A small shop with faults.")
    parser.add_argument("--dns-port", type=int, default=0, help="UDP port of the names; 0: any")
    parser.add_argument("--quiet", action="store_true", help="do not print what was done")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="shop-") as folder:
        done = json.dumps(run(Path(folder), options.dns_port))
    if not options.quiet:
        print(done)
    return 0


if __name__ == "__main__":
    sys.exit(main())
