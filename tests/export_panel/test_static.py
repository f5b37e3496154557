"""What stands for the panel where there is no kernel."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import polars as pl
import pytest
from synthetic import make_session

import workbench as wb
from workbench.export_panel import static


def words(html):
    """Return what is to be read in a page that takes styles away."""
    return re.sub(r"<[^>]*>", "", re.sub(r"(?s)<style>.*?</style>", "", html))


def test_it_says_what_it_is_and_the_command():
    html = static.fragment("<x>.wb", "workbench export '<x>.wb'", "", "k1")
    assert "Export &lt;x&gt;.wb" in html
    assert "<code>workbench export &#x27;&lt;x&gt;.wb&#x27;</code>" in html
    assert 'data-wb-panel="k1"' in html
    assert "In a terminal" in words(html)
    assert "http" not in html
    closed = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, _: closed.append(tag)
    parser.handle_endtag = lambda tag: closed.remove(tag)
    parser.feed(html)
    assert closed == []


def test_where_no_command_does_the_same_it_says_why():
    html = static.fragment("x.wb", "", "It <cannot>.", "k")
    assert "No command line does the same" in html
    assert "It &lt;cannot&gt;." in html
    assert "<pre" not in words(html)
    assert static.plain("x.wb", "", "Why.") == "Export x.wb: Why."
    assert static.plain("x.wb", "do", "") == "Export x.wb: do"


@pytest.fixture
def shown(monkeypatch):
    outputs = []
    monkeypatch.setattr("IPython.display.display", lambda data, **_: outputs.append(data))
    return outputs


def test_a_panel_shows_it_beside_itself(tmp_path, monkeypatch, shown):
    monkeypatch.chdir(tmp_path)
    session = wb.open(make_session(tmp_path / "s.wb", rows=100))
    panel = session.window(1.0, 2.0).export_panel(format="folded")
    panel._ipython_display_()
    still, widget = shown
    assert panel.command in still["text/html"].replace("&#x27;", "'")
    assert panel.command in still["text/plain"]
    assert f'data-wb-panel="{panel.model_id}"' in still["text/html"]
    view = widget["application/vnd.jupyter.widget-view+json"]
    assert view["model_id"] == panel.model_id == panel._command.panel
    assert widget["text/plain"] == ""
    assert "text/html" not in widget
    session.where(expr=pl.col("pid") > 1).export_panel()._ipython_display_()
    assert "polars or SQL" in shown[2]["text/html"]
