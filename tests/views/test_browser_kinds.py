"""The tables of all kinds in a real browser: nothing is cut off, losses are seen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kind_rows import recording

from workbench.views import summaries
from workbench.views.html import page as html_page

pytestmark = pytest.mark.browser
# Captions of the tables that are wider than what is around them.
CUT = """() => [...document.querySelectorAll(".wb-scroll")]
    .filter(box => box.scrollWidth > box.clientWidth + 1)
    .map(box => box.querySelector("caption").textContent)"""
BARS = """() => [...document.querySelectorAll(".wb-with-bar")]
    .map(cell => getComputedStyle(cell).backgroundSize)"""


def test_no_table_is_cut_off(open_page: Callable[..., Any], tmp_path: Path) -> None:
    rec = recording()
    found = summaries.sections(rec)
    body = "".join(f"<section><h2>{title}</h2>{content}</section>" for title, content in found)
    text = html_page("kinds", f'<main class="wb wb-report">{body}</main>')
    (tmp_path / "kinds.html").write_text(text)
    page = open_page(tmp_path / "kinds.html")
    assert page.evaluate("document.querySelectorAll('table').length") >= len(found)
    assert page.evaluate(CUT) == []
    bars = page.evaluate(BARS)
    assert any("100%" in size for size in bars)
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
