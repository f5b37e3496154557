"""Names of files: the usual one follows the format, one's own stays."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic import make_session

from workbench.export_panel.file_form import FileForm
from workbench.exporting import SEND
from workbench.recording import Recording


@pytest.fixture
def rec(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return Recording.open(make_session(tmp_path / "s.wb", rows=20))


def test_the_usual_name_follows_the_format(rec):
    calls = []
    form = FileForm(rec, "", lambda: calls.append(form.name))
    for format, name in (("csv", "s.csv"), ("pprof", "s.pb.gz"), (SEND, "s.pb.gz")):
        form.follow(format)
        assert form.name == name
    assert calls == ["s.csv", "s.pb.gz"]
    form.entry.value = " mine "
    form.follow("csv")
    assert form.name == "mine"
    form.entry.value = ""
    form.follow("csv")
    assert form.name == "s.csv"


def test_a_name_that_is_given_stays(rec):
    form = FileForm(rec, "given.csv", lambda: None)
    form.follow("pprof")
    assert form.name == "given.csv"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("new.csv", ""),
        ("", "Name a file"),
        ("old.csv", "replaced"),
        ("folder", "is a folder"),
        ("no/such/a.csv", "no folder no/such"),
        ("<b>/a.csv", "&lt;b&gt;"),
    ],
)
def test_what_is_at_that_place(rec, name, said):
    Path("old.csv").touch()
    Path("folder").mkdir()
    form = FileForm(rec, "x", lambda: None)
    form.entry.value = name
    assert said in form.note.value
    assert form.note.layout.display == (None if said else "none")
