from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest

from workbench.errors import CancelledError, RefusedError, StorageError
from workbench.export_panel import outcome
from workbench.formats.otlp.sending.connection import ConnectionReport, SignalAnswer
from workbench.formats.otlp.sending.report import SendReport


def test_errors_have_what_why_and_next():
    text = outcome.failure(StorageError("<x> failed.", why="disk\nfull", advice="Free space."))
    assert "&lt;x&gt; failed." in text
    assert "Why: disk<br>full" in text
    assert "Next: Free space." in text
    assert 'role="alert"' in text
    assert "Why: KeyError: &#x27;a&#x27;" in outcome.failure(KeyError("a"))
    cancelled = outcome.failure(CancelledError("x"))
    assert "Nothing was left behind" in cancelled
    assert "alert" not in cancelled


def test_small_files_are_in_their_link(tmp_path):
    path = tmp_path / "a<b>.pb"
    path.write_bytes(b"\x00abc")
    text = outcome.written(path, 1.25)
    data = re.search(r'href="data:application/octet-stream;base64,([^"]*)"', text)[1]
    assert base64.b64decode(data) == b"\x00abc"
    assert 'download="a&lt;b&gt;.pb"' in text
    assert "4 bytes, in 1.2 s" in text
    assert "<b>.pb" not in text
    assert outcome.served(path) == ""


def test_large_files_below_the_notebook_are_served(tmp_path, monkeypatch):
    monkeypatch.setattr(outcome, "SMALL", 3)
    monkeypatch.chdir(tmp_path)
    path = Path("out") / "a b#1.csv"
    path.parent.mkdir()
    path.write_bytes(b"1234")
    assert outcome.served(path) == (
        '<a href="out/a%20b%231.csv" download="a b#1.csv">Download a b#1.csv</a>'
    )
    assert "href" not in outcome.written(path, 0)
    monkeypatch.chdir(path.parent)
    other = tmp_path / "b.csv"
    other.write_bytes(b"1234")
    assert outcome.served(other) == ""
    assert "on the machine" in outcome.written(other, 0)


def test_paths_are_short_where_they_can_be(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert outcome.shown_path(tmp_path / "a" / "b.wb") == "a/b.wb"
    assert outcome.shown_path(Path("b.wb")) == "b.wb"
    assert outcome.shown_path(tmp_path.parent / "b.wb") == str(tmp_path.parent / "b.wb")


def test_reports_of_sending():
    report = SendReport()
    report.of("logs").produced = report.of("logs").sent = 3
    text = outcome.sent(report)
    assert "all delivered" in text
    assert "alert" not in text
    report.of("logs").produced = 5
    report.of("logs").lose(2, "too <old>")
    text = outcome.sent(report)
    assert "2 of 5 items were not delivered" in text
    assert "too &lt;old&gt;" in text
    assert 'role="alert"' in text


@pytest.mark.parametrize("role", ["status"])
def test_reports_of_tests(role):
    error = RefusedError("It <does> not.", why="401", advice="Give headers.")
    answers = (SignalAnswer("logs", "http://x", 0.01, None), SignalAnswer("traces", "y", 1, error))
    text = outcome.tested(ConnectionReport(answers))
    assert "✓ logs: http://x takes them (10 ms)" in text
    assert "✗ traces: It &lt;does&gt; not.</span><p>Why: 401</p><p>Next: Give headers.</p>" in text
    assert f'role="{role}"' in text


def test_a_warning_only_where_there_is_one():
    assert outcome.empty("") == ""
    assert "&lt;none&gt;" in outcome.empty("<none>")


def test_every_result_has_its_text(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"1")
    assert outcome.shown(path, 1.0) == outcome.written(path, 1.0)
    assert "alert" in outcome.shown(ValueError("x"), 1.0)
    assert outcome.shown(SendReport(), 1.0) == outcome.sent(SendReport())
    assert "answers" in outcome.shown(ConnectionReport(()), 1.0)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        outcome.shown(path, 1.0)
