"""Both views in executed notebooks: as nbconvert writes them, and in a real JupyterLab."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_lab import RUN, environment, started_lab, wait_until_ready, write_notebook
from synthetic import make_session

pytestmark = pytest.mark.browser
CELLS = [
    "import workbench.session\nsession = workbench.session.open_session('x.wb')",
    "session.flamegraph()",
    "session.syscalls()",
    "widget = session.flamegraph().widget()\nwidget",
    "session.export_panel()",
]
# Stock nbconvert asks for these itself; the views must not need them.
TEMPLATE_HOSTS = (
    "https://cdnjs.cloudflare.com/",
    "https://cdn.jsdelivr.net/",
    "https://unpkg.com/",
)
# Brightness of a canvas where nothing is drawn.
CORNER = "c => c.getContext('2d').getImageData(c.width - 4, 4, 1, 1).data[0]"
PAINTED = "document.querySelectorAll('canvas[data-drawn]').length >= {count}"


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    make_session(tmp_path / "x.wb", rows=2000)
    path = tmp_path / "x.ipynb"
    write_notebook(path, CELLS)
    return path


def test_nbconvert(
    browser: Any, notebook: Path, tmp_path: Path, open_page: Callable[..., Any]
) -> None:
    pytest.importorskip("nbconvert")
    subprocess.run(
        [sys.executable, "-m", "nbconvert", "--to", "html", "--execute", notebook.name],
        cwd=tmp_path, env=environment(tmp_path), check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    page = open_page(notebook.with_suffix(".html"), ignore=TEMPLATE_HOSTS)
    page.wait_for_function(PAINTED.format(count=1))
    page.wait_for_selector(".wb-plot canvas")
    page.locator("canvas[data-drawn]").first.scroll_into_view_if_needed()
    page.fill(".wb-flame input", "compute")
    assert "in" in page.locator(".wb-flame output").first.inner_text()
    assert page.locator(".wb-syscalls tbody .wb-name").first.is_visible()
    assert page.locator(".wb-fallback").count() == 0
    still = page.locator(".wb-export-static")  # no kernel: what stands for the panel
    still.wait_for()
    assert "workbench export x.wb --format=pprof -o x.pb.gz" in still.inner_text()
    assert page.locator(".wb-export").count() == 0


@pytest.fixture
def lab(browser: Any, notebook: Path, tmp_path: Path) -> Iterator[str]:
    pytest.importorskip("jupyterlab")
    with started_lab(tmp_path) as url:
        yield url


def test_jupyterlab(lab: str, open_page: Callable[..., Any]) -> None:
    page = open_page(
        f"{lab}lab/tree/x.ipynb?reset&token=test",
        allow=(lab, lab.replace("http:", "ws:"), "data:", "blob:"),
        ignore=("https://",),  # JupyterLab's own news and help
        viewport={"width": 1300, "height": 1400},
    )
    wait_until_ready(page)
    page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
    page.wait_for_function(PAINTED.format(count=2))  # view and widget
    page.wait_for_selector(".wb-export")
    page.locator(".wb-export-static").wait_for(state="hidden")
    page.wait_for_selector(".wb-plot canvas", timeout=20_000)
    assert page.locator(".wb-fallback").count() == 0
    widget = page.locator("canvas[data-drawn]").nth(1)
    widget.scroll_into_view_if_needed()
    box = widget.bounding_box()
    widget.click(position={"x": 20, "y": box["height"] - 1.5 * 19})
    page.wait_for_timeout(300)
    assert page.evaluate(RUN, "print(widget.focus)").strip() == "1"
    page.evaluate(RUN, "widget.search = 'compute'; widget.focus = 0")
    page.wait_for_function(
        "[...document.querySelectorAll('.wb-flame output')].at(-1).textContent.includes('frame')"
    )
    assert page.get_by_role("button", name="Reset zoom").last.is_disabled()
    # The first view is not in sight now, and still follows the theme.
    change = "window.jupyterapp.commands.execute('apputils:change-theme', {theme: %r})"
    page.evaluate(change % "JupyterLab Dark")
    page.wait_for_function("document.body.dataset.jpThemeLight === 'false'")
    first = page.locator("canvas[data-drawn]").first
    first.scroll_into_view_if_needed()
    page.wait_for_function(CORNER + " < 60", arg=first.element_handle())
