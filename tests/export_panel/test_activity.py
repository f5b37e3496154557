"""One thing at a time, with progress, cancel and an end that is shown."""

from __future__ import annotations

import threading
from pathlib import Path

from workbench.errors import CancelledError, ExportError
from workbench.export_panel.activity import Activity


def disabled(activity):
    return activity.export.disabled, activity.test.disabled, activity.stop.disabled


def hidden(activity):
    shown = (activity.status, activity.outcome, activity.large)
    return [widget.layout.display == "none" for widget in shown]


def test_it_begins_goes_on_and_ends(tmp_path):
    activity = Activity()
    assert hidden(activity) == [True] * 3
    assert activity.wait(0)
    begun, go = threading.Event(), threading.Event()
    path = tmp_path / "a"
    path.write_bytes(b"1")

    def work(progress, _cancel):
        progress("1 bytes")
        begun.set()
        go.wait(60)
        return path

    activity.begin(work)
    assert begun.wait(60)
    assert disabled(activity) == (True, True, False)
    assert hidden(activity) == [False, True, True]
    activity.begin(lambda *_: 1 / 0)  # not while something goes on
    activity.allow(False)
    activity.allow(True)
    assert disabled(activity) == (True, True, False)
    go.set()
    assert activity.wait(60)
    assert activity.result == path
    assert disabled(activity) == (False, False, True)
    assert hidden(activity) == [True, False, True]
    assert "Wrote" in activity.outcome.value


def test_it_is_cancelled():
    activity = Activity()
    activity.cancel()  # nothing to cancel

    def work(_progress, cancel):
        assert cancel.wait(60)
        raise CancelledError("x")

    activity.begin(work)
    activity.stop.click()
    assert activity.wait(60)
    assert "Nothing was left behind" in activity.outcome.value
    assert not activity.export.disabled


def test_a_large_file_is_an_output(tmp_path, monkeypatch):
    monkeypatch.setattr("workbench.export_panel.outcome.SMALL", 0)
    monkeypatch.chdir(tmp_path)
    path = Path("large")
    path.write_bytes(b"123")
    activity = Activity()
    activity.begin(lambda *_: path)
    assert activity.wait(60)
    assert 'href="large"' in activity.large.outputs[0]["data"]["text/html"]
    assert hidden(activity) == [True, False, False]
    gone = tmp_path / "gone"
    activity.begin(lambda *_: gone)
    assert activity.wait(60)
    assert "gone" in activity.outcome.value
    assert hidden(activity) == [True, False, True]


def test_an_error_is_gone_with_a_change_and_a_result_stays(tmp_path):
    def fails(*_):
        raise ExportError("No.")

    activity = Activity()
    activity.begin(fails)
    assert activity.wait(60)
    assert "No." in activity.outcome.value
    activity.allow(True)
    assert activity.outcome.value == ""
    assert hidden(activity) == [True] * 3
    path = tmp_path / "a"
    path.touch()
    activity.begin(lambda *_: path, lambda: "It is <empty>.")
    assert activity.wait(60)
    assert "It is &lt;empty&gt;." in activity.outcome.value
    activity.allow(True)
    assert "Wrote" in activity.outcome.value


def test_what_is_not_allowed_does_not_begin():
    activity = Activity()
    activity.allow(True, ExportError("No grpc.", advice="Install it."))
    assert disabled(activity) == (True, True, True)
    assert "Install it." in activity.outcome.value
    activity.allow(False)
    assert activity.outcome.value == ""
    assert activity.export.disabled
    activity.allow(True)
    assert not activity.export.disabled
