"""A real server on this machine, which knows one build id."""

import shutil
import socket
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from programs import compiled

from workbench.symbols.debuginfod import Debuginfod

KNOWN, OTHER = "ab" * 20, "ef" * 20


class Quiet(SimpleHTTPRequestHandler):
    asked: list[str] = []  # noqa: RUF012 - of all requests

    def do_GET(self):
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path):
    built = compiled(tmp_path, "x", "int main;", "gcc", f"-Wl,--build-id=0x{KNOWN}")
    built.write_bytes(built.read_bytes() + bytes(3_000_000))
    for name in (KNOWN, OTHER):
        folder = tmp_path / "served/buildid" / name
        folder.mkdir(parents=True)
        shutil.copy(built, folder / "debuginfo")
    Quiet.asked = []
    made = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "served")))
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{made.server_port}"
    made.shutdown()
    thread.join()
    made.server_close()


def test_a_file_is_fetched_once_and_shared(server, tmp_path):
    environment = {
        "DEBUGINFOD_URLS": f"ftp://no http://127.0.0.1:9/ {server}/",
        "XDG_CACHE_HOME": str(tmp_path),
        "DEBUGINFOD_TIMEOUT": "5",
    }
    client = Debuginfod.from_environment(environment)
    assert client.timeout == 5
    found = client(KNOWN)
    assert found == tmp_path / "debuginfod_client" / KNOWN / "debuginfo"
    assert found.stat().st_size > 3_000_000
    assert Debuginfod.from_environment(environment)(KNOWN) == found
    assert len(Quiet.asked) == 1


def test_what_is_not_there_is_asked_for_once(server, tmp_path):
    client = Debuginfod((server,), tmp_path / "cache")
    for _ in range(3):
        assert client("cd" * 20) is None
    assert client("../../etc/passwd") is None
    assert len(Quiet.asked) == 1
    assert "404" in client.failures["cd" * 20]
    assert not list((tmp_path / "cache").rglob(".*"))


def test_large_files_are_refused(server, tmp_path):
    environment = {"DEBUGINFOD_URLS": server, "DEBUGINFOD_MAXSIZE": "1000000"}
    client = Debuginfod.from_environment(environment | {"DEBUGINFOD_CACHE_PATH": str(tmp_path)})
    assert client(KNOWN) is None
    assert "more than 1,000,000" in client.failures[KNOWN]
    assert not (tmp_path / KNOWN / "debuginfo").exists()


def test_a_file_with_another_build_id_is_not_kept(server, tmp_path):
    client = Debuginfod((server,), tmp_path)
    assert client(OTHER) is None
    assert KNOWN in client.failures[OTHER]
    assert not (tmp_path / OTHER / "debuginfo").exists()


def test_a_server_that_does_not_answer_is_left_alone(tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # nobody listens there
        client = Debuginfod((f"http://127.0.0.1:{unused.getsockname()[1]}",), tmp_path)
        assert client(KNOWN) is None
        assert "refused" in client.failures[KNOWN]
        assert client(OTHER) is None
        assert "no server" in client.failures[OTHER]


@pytest.mark.parametrize("urls", ["", "  ", "file:///etc"])
def test_no_server(urls):
    assert Debuginfod.from_environment({"DEBUGINFOD_URLS": urls}) is None
