"""Progress: its text, on a recorded terminal, in a notebook that is none, and not at all."""

import io
import sys
from types import SimpleNamespace

import pytest

from workbench import progress
from workbench.progress import NotebookProgress, Progress, TerminalProgress, in_notebook, show


def message(elapsed, rows, dropped=0, event="progress"):
    return {"event": event, "elapsed": elapsed, "rows": rows, "dropped": dropped}


def test_text_with_and_without_a_duration():
    plain = Progress(None)
    plain.update({})
    plain.update(message(1.0, 2_000_000))
    assert plain.text(message(1.0, 2_000_000)) == "2,000,000 rows · 2,000,000/s · 0 dropped · 1 s"
    plain.update(message(3.0, 2_000_100))
    assert plain.text(message(3.0, 2_000_100, 5)) == "2,000,100 rows · 50/s · 5 dropped · 3 s"
    timed = Progress(10.0)
    assert timed.text(message(7.4, 0)).endswith("3 s left")
    assert timed.text(message(17.0, 0)).endswith("0 s left")
    assert timed.text(message(9.0, 0, event="saving")).endswith("saving")


def test_the_rate_stays_when_a_message_comes_again():
    plain = Progress(None)
    for _ in range(3):
        plain.update(message(2.0, 100))
    assert "50/s" in plain.text(message(2.0, 100))


@pytest.fixture
def terminal(monkeypatch):
    """Rich's console, recording."""
    import rich.console

    consoles = []
    real = rich.console.Console

    def console(**options):
        assert options == {"stderr": True}
        consoles.append(real(record=True, file=io.StringIO(), force_terminal=True, width=100))
        return consoles[-1]

    monkeypatch.setattr(rich.console, "Console", console)
    return consoles


def test_terminal(terminal):
    with show(True, 4.0) as shown:
        assert isinstance(shown, TerminalProgress)
        shown.bar.refresh()
        shown.update({})
        shown.update(message(1.0, 1234, 7))
        shown.bar.refresh()
        assert shown.bar.tasks[0].percentage == 25
        shown.update(message(4.1, 9999, event="saving"))
        shown.bar.refresh()
        shown.done(message(4.1, 9999), {"reason": "over"})
    text = terminal[0].export_text()
    assert "starting" in text
    assert "1,234 rows · 1,234/s · 7 dropped · 3 s left" in text
    assert "saving" in text
    assert "━" in text


def test_terminal_without_an_end_pulses(terminal):
    with show(True, None) as shown:
        shown.update(message(1.0, 10))
        shown.bar.refresh()
        assert shown.bar.tasks[0].total is None
    assert "10 rows · 10/s · 0 dropped · 1 s" in terminal[0].export_text()


@pytest.fixture
def notebook(monkeypatch):
    """IPython's display, recording."""
    shown = []

    class Handle:
        def update(self, html):
            shown.append(html)

    def display(html, display_id):
        assert display_id is True
        shown.append(html)
        return Handle()

    shell = type("ZMQInteractiveShell", (), {})()
    fake = SimpleNamespace(get_ipython=lambda: shell)
    monkeypatch.setitem(sys.modules, "IPython", fake)
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(HTML=str, display=display))
    return shown


def test_notebook_redraws_one_line(notebook):
    with show(None, 4.0) as shown:
        assert isinstance(shown, NotebookProgress)
        shown.update({})
        shown.update(message(1.0, 1234, 7))
        shown.update(message(1.0, 1234, 7))
        assert len(notebook) == 2  # the same text is not drawn again
        assert '<progress max="4.0" value="1.00">' in notebook[-1]
        assert "1,234 rows · 1,234/s · 7 dropped" in notebook[-1]
        shown.done(message(4.0, 5000, 9), {"reason": "it <ended>"})
    assert "5,000 rows, <b>9 dropped</b>: it &lt;ended&gt;." in notebook[-1]
    assert "progress" not in notebook[-1]


def test_notebook_without_an_end(notebook):
    with show(True, None) as shown:
        shown.update(message(1.0, 1))
        assert "<progress ></progress>" in notebook[-1]
        shown.done({}, {"reason": "over"})
    assert "Captured 0 rows, nothing dropped: over." in notebook[-1]


def test_not_in_a_notebook(notebook, monkeypatch):
    with show(False, None) as shown:
        assert type(shown) is Progress
    assert notebook == []
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    assert not in_notebook()
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: object()))
    assert not in_notebook()
    monkeypatch.delitem(sys.modules, "IPython")
    assert not in_notebook()


@pytest.mark.parametrize(("tty", "kind"), [(True, TerminalProgress), (False, Progress)])
def test_only_a_terminal_has_a_bar_by_itself(monkeypatch, terminal, tty, kind):
    monkeypatch.setattr(progress.sys, "stderr", SimpleNamespace(isatty=lambda: tty))
    with show(None, 1.0) as shown:
        assert type(shown) is kind


def test_without_a_standard_error(monkeypatch):
    monkeypatch.setattr(progress.sys, "stderr", None)
    with show(None, 1.0) as shown:
        assert type(shown) is Progress
        shown.done({}, {"reason": ""})
