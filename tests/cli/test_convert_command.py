"""``workbench convert``: all ways, its errors, and that it leaves nothing half-written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from synthetic import make_session

import workbench as wb
from workbench.cli import main


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return str(make_session(tmp_path / "s.wb", rows=300))


def test_all_ways(path, capsys):
    for words in (
        [path, "a.folded"],
        ["a.folded", "a.wb"],
        ["a.folded", "a.speedscope.json"],
        ["a.speedscope.json", "b", "--to", "pprof", "--from", "speedscope"],
        [path, "c.csv", "--table", "processes"],
    ):
        assert main(["convert", *words]) == 0
        assert capsys.readouterr().out == f"{words[1]}\n"
    total = wb.open(path).flamegraph(by=()).tree.total
    assert wb.load("b", "c.wb").flamegraph(by=()).tree.total == total


@pytest.mark.parametrize(
    ("words", "what", "next"),
    [
        (["none", "a.wb"], "none cannot be read", "No such file"),
        (["junk", "a.wb"], "no format that can be read", "these can be read: austin"),
        (["s.wb", "a.docx"], "does not tell a format", "--to FORMAT"),
        (["s.wb", "-"], "does not tell a format", "--to"),
        (["s.wb", "a", "--to", "docx"], "no format 'docx'", "Formats: arrow"),
        (["junk", "a.wb", "--from", "docx"], "no format 'docx'", "Formats: austin"),
        (["s.wb", "no/a.csv"], "No such file", "Make that folder first"),
        (["s.wb", "no/a.wb"], "no directory", "Make it first"),
        (["s.wb", "old.wb"], "exists already", "--force"),
        (["s.wb", "a.csv", "--table", "nope"], "no table 'nope'", "Its tables are"),
    ],
)
def test_errors_say_what_next(path, words, what, next, tmp_path, capsys):
    (tmp_path / "junk").write_bytes(bytes(range(256)))
    (tmp_path / "old.wb").write_bytes(b"old")
    before = sorted(tmp_path.iterdir())
    assert main(["convert", *words]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert what in said.err
    assert next in said.err
    assert sorted(tmp_path.iterdir()) == before


COMMAND = """
import signal, sys
signal.signal(signal.SIGTERM, signal.SIG_DFL)  # where coverage is measured it has a handler
from workbench.cli import main
sys.exit(main())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_nothing_behind(path, number, tmp_path):
    """It arrives while standard input is read, which has no end."""
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    words = [sys.executable, "-c", COMMAND, "convert", "-", "a.wb"]
    environment = os.environ | {"TMPDIR": str(scratch)}
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as running:
        running.stdin.write(b"main;work 1\n" * 100_000)
        running.stdin.flush()
        while not list(scratch.rglob("stdin")):
            assert running.poll() is None
            time.sleep(0.01)
        running.send_signal(number)
        assert running.wait(60) == 128 + number
        assert running.stderr.read() == b""
    assert list(scratch.iterdir()) == []
    assert not (tmp_path / "a.wb").exists()
