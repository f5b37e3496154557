"""``workbench export``: parts of sessions to files, and to real receivers."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from otlp_receivers import GrpcReceiver, HttpReceiver, Reply, free_port
from synthetic import make_session

import workbench as wb
from workbench.cli import main
from workbench.exporting import SEND, Export
from workbench.formats.otlp.encode import requests
from workbench.part import Part


class Kept:
    """Keeps what a receiver takes, as it was sent."""

    def take(self, signal, message):
        with self.lock:
            self.messages.append((signal, message.SerializeToString(deterministic=True)))

    @classmethod
    def new(cls, *script, **options):
        made = cls(*script, **options)
        made.messages = []
        return made


class Http(Kept, HttpReceiver):
    pass


class Grpc(Kept, GrpcReceiver):
    pass


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return str(make_session(tmp_path_factory.mktemp("export") / "s.wb", rows=600))


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    for name in list(os.environ):
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)


def expected(rec, signals=("traces", "metrics", "logs", "profiles")):
    """What `rec` is as messages, in any order: several are under way at once."""
    from otlp_sessions import CLASSES

    return sorted(
        (
            each.signal,
            CLASSES[each.signal].FromString(each.body).SerializeToString(deterministic=True),
        )
        for each in requests(rec, signals)
    )


def test_a_part_goes_to_a_file(path, tmp_path, capsys):
    out = tmp_path / "x.folded"
    words = ["export", path, "--format", "folded", "-o", str(out), "--window", "1.0:8.0"]
    words += ["--where", "comm=worker-0", "--where", "comm=worker-1", "--where", "cpu=0"]
    assert main(words) == 0
    assert capsys.readouterr().out == f"{out}\n"
    part = wb.open(path).window(1.0, 8.0).where(comm=["worker-0", "worker-1"], cpu=0)
    same = part.export("folded", tmp_path / "y")
    assert out.read_bytes() == same.read_bytes() != b""
    assert out.read_bytes() != wb.open(path).export("folded", same).read_bytes()


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--format", "csv", "--endpoint", "http://x"], "--endpoint belongs to --format otlp"),
        (["--format", "csv", "--no-insecure"], "--insecure belongs"),
        (["--format", "csv", "--test"], "--test belongs"),
        (["--format", "csv", "--signals", "logs"], "--signals belongs"),
        (["--format", "otlp", "-o", "x"], "writes no file"),
        (["--format", "otlp", "--table", "cpu"], "writes no file"),
        (["--format", "otlp", "--signals", "sounds", "--endpoint", "http://127.0.0.1:1"], "sounds"),
        (["--format", "otlp", "--certificate", "none.pem"], "none.pem"),
        (["--format", "csv", "--where", "pid"], "--where takes NAME=VALUE"),
        (["--format", "csv", "--where", "colour=red"], "Columns: pid"),
        (["--format", "csv", "--where", "pid=x"], "whole numbers"),
        (["--format", "csv", "--window", "1.0"], "--window takes T0:T1"),
        (["--format", "csv", "--window", "1:2"], "write 1.0"),
        (["--format", "docx"], "docx"),
        (["-o", "a.docx"], "known: .arrow, .trace.json"),
        (["-o", "a.csv", "--endpoint", "http://x"], "--endpoint belongs to --format otlp"),
        (["-o", "no/a.csv"], "Make that folder first"),
        (["-o", "a.folded", "--table", "syscalls"], "no stack"),
    ],
)
def test_what_has_no_meaning(path, words, what, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["export", path, *words]) == 1
    said = capsys.readouterr()
    assert what in said.err
    assert said.out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("output", ["x.csv", "-"])
def test_a_part_without_events_is_told(path, output, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    words = ["export", path, "--format", "csv", "-o", output]
    assert main([*words, "--where", "comm=worker-0"]) == 0
    assert capfd.readouterr().err == ""
    assert main([*words, "--where", "comm=worker-o"]) == 0
    assert "No event of the session is in that part" in capfd.readouterr().err


@pytest.mark.parametrize("words", [[], ["-o", "-"], ["--table", "cpu"]])
def test_a_format_is_needed(path, words, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["export", path, *words])
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert "usage: workbench export FILE.wb" in said
    assert "needed: a file whose end tells the format" in said
    assert "speedscope" in said


def test_a_header_is_not_repeated_in_an_error(path, capsys):
    assert main(["export", path, "--format", "otlp", "--header", "s3cret"]) == 1
    assert "s3cret" not in "".join(capsys.readouterr())
    with pytest.raises(SystemExit) as caught:
        main(["export", path, "--format", "otlp", "--protocol", "smoke"])
    assert caught.value.code == 2


def test_the_name_of_the_output_tells_the_format(path, tmp_path, capsys):
    for suffix, format in ((".pb.gz", "pprof"), (".trace.json", "chrome"), (".csv", "csv")):
        made = tmp_path / f"a{suffix}"
        assert main(["export", path, "-o", str(made)]) == 0
        assert made.read_bytes() == wb.open(path).export(format, tmp_path / "b").read_bytes()
    assert main(["export", path, "-o", str(made), "--format", "folded"]) == 0  # that counts
    assert made.read_bytes() == wb.open(path).export("folded", tmp_path / "b").read_bytes()
    capsys.readouterr()
    with Http.new() as there:  # a receiver tells it, too
        assert main(["export", path, "--endpoint", there.endpoint, "--signals", "logs"]) == 0
    assert "all delivered" in capsys.readouterr().out


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf", "http/json"])
def test_a_part_goes_to_a_receiver(path, protocol, capsys):
    part = wb.open(path).window(2.0, 9.0).where(comm="worker-0")
    with (Grpc if protocol == "grpc" else Http).new() as there:
        words = ["export", path, "--format", "otlp", "--endpoint", there.endpoint]
        words += ["--protocol", protocol, "--compression", "gzip", "--header", "x-key=s3cret"]
        assert main([*words, "--window", "2.0:9.0", "--where", "comm=worker-0"]) == 0
    assert sorted(there.messages) == expected(part)
    assert {headers["x-key"] for _, headers, _ in there.requests} == {"s3cret"}
    said = capsys.readouterr()
    assert "all delivered" in said.out
    assert "s3cret" not in said.out + said.err


def test_the_command_of_an_export_sends_the_same(path):
    """Run by a shell, with the headers filled in."""
    rec = wb.open(path).where(pid=1000)
    with Http.new() as panel, Http.new() as shell:
        options = {"headers": {"x-key": "a b"}, "compression": "gzip", "timeout": 20.0}
        export = Export(format=SEND, signals=("logs", "traces"), options=options)
        here = Export(
            format=SEND, signals=export.signals, options=options | {"endpoint": panel.endpoint}
        )
        there = Export(
            format=SEND, signals=export.signals, options=options | {"endpoint": shell.endpoint}
        )
        report = here.run(rec)
        text = there.command(path, Part(where=(("pid", ("1000",)),)))
        assert "a b" not in text
        text = text.replace("=...", "=x-key=a%20b")
        bin = Path(sys.executable).parent
        done = subprocess.run(
            ["sh", "-c", text], env=os.environ | {"PATH": f"{bin}:{os.environ['PATH']}"},
            capture_output=True, text=True,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(shell.messages) == sorted(panel.messages) == expected(rec, ("logs", "traces"))
    assert {headers["x-key"] for _, headers, _ in shell.requests} == {"a b"}
    assert report.ok
    assert f"{report.total('sent'):,} items sent" not in done.stderr  # no terminal, no progress


def test_the_placeholder_of_the_headers_is_refused(path, monkeypatch, capsys):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "...")
    with Http.new() as there:
        assert main(["export", path, "--format", "otlp", "--endpoint", there.endpoint]) == 1
    assert there.requests == []
    assert "no '='" in capsys.readouterr().err


def test_what_is_not_taken_is_told_and_is_1(path, capsys):
    refused = [Reply(400, "too blue")] * 50
    with Http.new(*refused) as there:
        words = ["export", path, "--format", "otlp", "--endpoint", there.endpoint]
        assert main([*words, "--signals", "logs"]) == 1
        said = capsys.readouterr()
        assert "NOT all delivered" in said.out
        assert "too blue" in said.err
        assert there.messages == []

        def rejects(receiver, signal, message):
            answer = signal.response()()
            answer.partial_success.rejected_log_records = 1
            answer.partial_success.error_message = "one is ugly"
            return Reply(200, answer.SerializeToString(), content_type="application/x-protobuf")

        there.script = [rejects]
        assert main([*words, "--signals", "logs"]) == 1
        said = capsys.readouterr()
        assert "one is ugly" in said.out
        assert said.err == ""


def test_the_connection_is_tested_without_the_session(capsys):
    with Http.new() as there:
        words = ["export", "none.wb", "--format", "otlp", "--test", "--signals", "traces,logs"]
        assert main([*words, "--endpoint", there.endpoint]) == 0
        assert capsys.readouterr().out.count("takes them") == 2
        assert there.messages == [(name, b"") for name, _ in there.messages]
    assert main([*words, "--endpoint", f"http://127.0.0.1:{free_port()}"]) == 1
    assert "refused" in capsys.readouterr().out


def bytes_of(process, folder):
    """Return how much a process has written to files of a folder: they may have no name yet."""
    open_files = Path(f"/proc/{process.pid}/fd")
    with suppress(FileNotFoundError):  # one was closed meanwhile
        theirs = [each for each in open_files.iterdir() if os.readlink(each).startswith(folder)]
        return sum(each.stat().st_size for each in theirs)
    return 0


def test_ctrl_c_leaves_nothing_behind(tmp_path):
    dataset = Path(__file__).parents[2] / "datasets" / "slow-api.wb"
    words = ["export", str(dataset), "--format", "otlp-json", "-o", str(tmp_path / "x")]
    running = subprocess.Popen([sys.executable, "-m", "workbench", *words], stderr=subprocess.PIPE)
    while not bytes_of(running, f"{tmp_path}/"):
        assert running.poll() is None  # it takes seconds
        time.sleep(0.01)
    running.send_signal(signal.SIGINT)
    _, error = running.communicate(timeout=60)
    assert (running.returncode, error) == (130, b"")
    assert list(tmp_path.iterdir()) == []


def test_progress_is_shown_on_a_terminal(path, tmp_path):
    """A pseudo-terminal as standard error: the line is gone at the end, also after an error."""
    import pty

    for out, code in ((str(tmp_path / "x.csv"), 0), (str(tmp_path / "no" / "x.csv"), 1)):
        ours, theirs = pty.openpty()
        done = subprocess.run(
            [sys.executable, "-m", "workbench", "export", path, "--format", "csv", "-o", out],
            stderr=theirs, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        os.close(theirs)
        shown = os.read(ours, 1 << 20).decode()
        os.close(ours)
        assert done.returncode == code
        assert "\r\x1b[K" in shown
        if code == 0:
            assert "bytes" in shown
            assert shown.endswith("\r\x1b[K")
            assert done.stdout == shlex.quote(out) + "\n"
