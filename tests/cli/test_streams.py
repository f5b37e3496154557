"""Data through pipes, progress on terminals."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from synthetic import make_session

import workbench as wb
from workbench.cli.streams import input_file, progress_line


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return str(make_session(tmp_path_factory.mktemp("streams") / "s.wb", rows=600))


def run(*words, **options):
    command = [sys.executable, "-m", "workbench", *words]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.run(command, **options)


@pytest.mark.parametrize("format", ["csv", "pprof", "parquet", "arrow"])
def test_a_pipe_gets_what_a_file_gets(path, format, tmp_path):
    done = run("export", path, "--format", format, "-o", "-", "--where", "cpu=0", cwd=tmp_path)
    expected = wb.open(path).where(cpu=0).export(format, tmp_path / "x").read_bytes()
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == expected
    assert [file.name for file in tmp_path.iterdir()] == ["x"]


def test_convert_reads_and_writes_pipes(path, tmp_path):
    folded = run("convert", path, "-", "--to", "folded", cwd=tmp_path)
    assert (folded.returncode, folded.stderr) == (0, b"")
    assert folded.stdout == wb.open(path).export("folded", tmp_path / "x").read_bytes() != b""
    again = run("convert", "-", "-", "--to", "folded", input=folded.stdout, cwd=tmp_path)
    assert (again.returncode, again.stdout) == (0, folded.stdout)
    made = run("convert", "-", "made.wb", input=folded.stdout, cwd=tmp_path)
    assert made.stdout == b"made.wb\n"
    session = wb.open(tmp_path / "made.wb")
    assert "imported from stdin" in repr(session)
    assert session.export("folded", tmp_path / "x").read_bytes() == folded.stdout


def test_nobody_reads_any_more(path):
    ours, theirs = os.pipe()
    os.close(ours)
    done = run("export", path, "--format", "otlp-json", "-o", "-", stdout=theirs)
    os.close(theirs)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_is_told():
    dataset = Path(__file__).parents[2] / "datasets" / "slow-api.wb"
    with Path("/dev/full").open("wb") as full:
        done = run("export", str(dataset), "--format", "csv", "-o", "-", stdout=full)
    assert done.returncode == 1
    assert b"No space left on device" in done.stderr
    assert b"Free space" in done.stderr
    assert b"Traceback" not in done.stderr


def on_a_terminal(*words):
    ours, theirs = pty.openpty()
    done = run(*words, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = os.read(ours, 1 << 20).decode()
    os.close(ours)
    return done.returncode, shown


def test_a_terminal_gets_text_alone(path):
    code, shown = on_a_terminal("export", path, "--format", "pprof", "-o", "-")
    assert code == 1
    assert "not written to a terminal" in shown
    assert "-o NAME.pb.gz" in shown
    part = ("--window", "0.0:0.1")
    code, shown = on_a_terminal("export", path, "--format", "csv", "-o", "-", *part)
    assert code == 0
    assert shown.startswith("ts,")
    assert "\x1b" not in shown  # no progress in the middle of it


def test_progress_is_a_line_that_is_gone(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    with progress_line() as show:
        show("1")
    assert terminal.getvalue() == "\r\x1b[K1\r\x1b[K"
    for other in (io.StringIO(), None):
        monkeypatch.setattr("sys.stderr", other)
        with progress_line() as show:
            assert show is None


def test_an_input_that_is_a_file_stays_where_it_is():
    with input_file("a.folded") as name:
        assert name == "a.folded"
