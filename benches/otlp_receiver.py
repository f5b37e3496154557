"""A receiver of OTLP in a process of its own, which does as little as a receiver can.

``python -m benches.otlp_receiver`` prints its ports as JSON; for each line that it reads it prints
the requests and bytes that came since the last one, and the CPU time that it took, in seconds. It
ends with its input. Requests are read whole, gzip is undone where gRPC or the header says so, and
nothing is parsed: what is measured against it is the sender.
"""

from __future__ import annotations

import gzip
import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc

METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


class Counter:
    """Requests and bytes since the last look."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests = self._bytes = 0
        self._cpu = time.process_time()

    def add(self, size: int) -> None:
        with self._lock:
            self._requests += 1
            self._bytes += size

    def take(self) -> dict[str, float]:
        with self._lock:
            cpu = time.process_time()
            counted = {"requests": self._requests, "bytes": self._bytes, "cpu": cpu - self._cpu}
            self._cpu = cpu
            self._requests = self._bytes = 0
        return counted


class Service(grpc.GenericRpcHandler):
    """The trace service on raw bytes."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter

    def service(self, call: Any) -> Any:
        if call.method != METHOD:
            return None
        return grpc.unary_unary_rpc_method_handler(self._export)

    def _export(self, request: bytes, _context: Any) -> bytes:
        self._counter.add(len(request))
        return b""


def handler(counter: Counter) -> type[BaseHTTPRequestHandler]:
    """Return a handler of HTTP that counts."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        rbufsize = 1 << 20

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            counter.add(len(body))
            self.send_response_only(200)
            self.send_header("content-type", self.headers["content-type"])
            answer = b"{}" if "json" in self.headers["content-type"] else b""
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

    return Handler


def main() -> None:
    """Serve until the input ends."""
    counter = Counter()
    server = grpc.server(
        ThreadPoolExecutor(4), options=[("grpc.max_receive_message_length", 64 << 20)]
    )
    server.add_generic_rpc_handlers((Service(counter),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    web = ThreadingHTTPServer(("127.0.0.1", 0), handler(counter))
    threading.Thread(target=web.serve_forever, daemon=True).start()
    print(json.dumps({"grpc": port, "http": web.server_address[1]}), flush=True)
    for _ in sys.stdin:
        print(json.dumps(counter.take()), flush=True)
    server.stop(None).wait()


if __name__ == "__main__":
    main()
