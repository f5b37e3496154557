"""Proxies of the environment: which one is taken, and requests that go through real ones."""

import base64
import socket
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest
import urllib3
from otlp_messages import traces
from otlp_receivers import HttpReceiver

from workbench.errors import DestinationError
from workbench.formats.otlp.sending import http_pool, proxies
from workbench.formats.otlp.sending.answer import Verdict
from workbench.formats.otlp.sending.http import HttpTransport
from workbench.formats.otlp.sending.proxies import is_here, proxy_for
from workbench.formats.otlp.sending.retry import Clock
from workbench.formats.otlp.sending.settings import Options, resolve
from workbench.formats.otlp.signals import SIGNALS

VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("variables", "url", "proxy"),
    [
        ({}, "http://there:4318/", None),
        ({"http_proxy": "http://p:1"}, "http://there:4318/", "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1"}, "https://there/", "http://p:1"),
        ({"http_proxy": "http://p:1"}, "https://there/", None),
        ({"all_proxy": "p:1"}, "https://there/", "http://p:1"),
        ({"http_proxy": "http://p:1", "no_proxy": "a,there"}, "http://there:4318/", None),
        ({"http_proxy": "http://p:1", "no_proxy": ".org"}, "http://x.org/", None),
        ({"http_proxy": "http://p:1", "no_proxy": "there:1"}, "http://there:2/", "http://p:1"),
        ({"http_proxy": "http://p:1", "no_proxy": "*"}, "http://there/", None),
        ({"http_proxy": "http://p:1"}, "http://localhost:4318/", None),
        ({"http_proxy": "http://p:1"}, "http://127.9.9.9/", None),
        ({"http_proxy": "http://p:1"}, "http://[::1]:4318/", None),
    ],
)
def test_the_proxy_for_a_url(variables, url, proxy, monkeypatch):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(url) == proxy


def test_a_proxy_that_is_none_of_http(monkeypatch):
    monkeypatch.setenv("all_proxy", "socks5://user:secret@p:1")
    with pytest.raises(DestinationError) as caught:
        proxy_for("https://there/")
    assert "socks5://" in caught.value.why
    assert "secret" not in str(caught.value)


def test_this_machine():
    for host in ("localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "::1", "[::1]"):
        assert is_here(host)
    for host in ("localhost.org", "128.0.0.1", "there", "", "fe80::1"):
        assert not is_here(host)


class Proxy:
    """A proxy that forwards requests and opens tunnels, and notes what it was asked for."""

    def __init__(self):
        asked = self.asked = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_CONNECT(self):
                asked.append(("CONNECT", self.path, self.headers["proxy-authorization"]))
                host, _, port = self.path.rpartition(":")
                with socket.create_connection((host, int(port))) as there:
                    self.send_response(200)
                    self.end_headers()
                    threading.Thread(
                        target=pump, args=(there, self.connection), daemon=True
                    ).start()
                    pump(self.connection, there)
                self.close_connection = True

            def do_POST(self):
                asked.append(("POST", self.path, self.headers["proxy-authorization"]))
                body = self.rfile.read(int(self.headers["content-length"]))
                kept = {"content-type": self.headers["content-type"]}
                with urllib3.PoolManager() as pool:
                    got = pool.request("POST", self.path, body=body, headers=kept, retries=False)
                self.send_response(got.status)
                self.send_header("content-type", got.headers["content-type"])
                self.send_header("content-length", str(len(got.data)))
                self.end_headers()
                self.wfile.write(got.data)

            def log_message(self, *_):
                pass

        def pump(source, sink):
            with suppress(OSError):
                while data := source.recv(1 << 16):
                    sink.sendall(data)
            with suppress(OSError):
                sink.shutdown(socket.SHUT_RDWR)

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


@pytest.mark.parametrize("secure", [False, True])
def test_requests_go_through_a_proxy(secure, authority, monkeypatch):
    context = authority.server_context() if secure else None
    options = {"certificate": authority.file} if secure else {}
    with HttpReceiver(context=context) as there, Proxy() as proxy:
        monkeypatch.setenv(
            "https_proxy" if secure else "http_proxy", f"http://me:se%20cret@127.0.0.1:{proxy.port}"
        )
        # The receiver is on this machine, as tests are.
        monkeypatch.setattr(proxies, "is_here", lambda _: False)
        to = resolve(SIGNALS["traces"], Options(endpoint=there.endpoint, **options), {})
        way = HttpTransport(to, 1, Clock())
        for start in (0, 10):
            answer = way.export(way.prepare(traces(start, 10).body), 30)
            assert answer.verdict is Verdict.TAKEN, answer
        way.close()
    assert there.taken["traces"] == dict.fromkeys(range(20), 1)
    key = "Basic " + base64.b64encode(b"me:se cret").decode()
    address = there.endpoint.split("://")[1]
    if secure:  # one tunnel, which is kept
        assert proxy.asked == [("CONNECT", address, key)]
    else:
        assert proxy.asked == [("POST", f"http://{address}/v1/traces", key)] * 2
    # The key is the proxy's, and no header of the receiver's.
    assert all("proxy-authorization" not in headers for _, headers, _ in there.requests)


def test_a_proxy_that_refuses(monkeypatch):
    with HttpReceiver() as proxy:  # answers 501 to CONNECT
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
        to = resolve(SIGNALS["traces"], Options(endpoint="https://otlp.invalid"), {})
        way = HttpTransport(to, 1, Clock())
        answer = way.export(traces().body, 30)
        way.close()
    assert (answer.verdict, answer.lost) == (Verdict.RETRY, False)
    assert "501" in answer.why


def test_users_without_a_password():
    assert http_pool._credentials("http://p:1") == {}
    key = http_pool._credentials("http://me@p:1")["proxy-authorization"]
    assert base64.b64decode(key.split()[1]) == b"me:"
    assert urlsplit("http://me@p:1").password is None
