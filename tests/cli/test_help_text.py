"""Help texts list the formats, and only where they are asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

from workbench.cli import main
from workbench.cli.help_text import HelpWithFormats, described
from workbench.formats import readable, writable


def test_every_format_has_a_line(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    for which, known in (("read", readable()), ("written", writable())):
        first, *rest = described(which).splitlines()
        assert first == f"formats that are {which}:"
        assert [line.split()[0] for line in rest] == list(known)
        assert all(each.meaning in line for each, line in zip(known.values(), rest, strict=True))


def test_long_lines_are_broken(monkeypatch):
    monkeypatch.setenv("COLUMNS", "70")
    assert max(map(len, described("written").splitlines())) <= 70


def test_a_parser_without_formats_is_as_usual():
    parser = HelpWithFormats(prog="x")
    assert "formats" not in parser.format_help()


@pytest.mark.parametrize("command", ["export", "convert"])
def test_the_commands_show_examples_and_formats(command, capsys):
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    said = capsys.readouterr().out
    assert "examples:\n" in said
    assert f"\n  workbench {command} " in said
    assert "speedscope.app" in said


def test_other_commands_import_no_formats():
    code = "import sys; from workbench.cli import build_parser; build_parser(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"numpy", "polars", "workbench.formats.pprof"}.isdisjoint(done.stdout.split())
