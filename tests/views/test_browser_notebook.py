"""Both views in executed notebooks: as nbconvert writes them, and in a real JupyterLab."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from synthetic import make_session

pytestmark = pytest.mark.browser
CELLS = [
    "import workbench.session\nsession = workbench.session.open_session('x.wb')",
    "session.flamegraph()",
    "session.syscalls()",
    "widget = session.flamegraph().widget()\nwidget",
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


def write_notebook(path: Path, sources: list[str]) -> None:
    cells = [
        {"cell_type": "code", "id": f"c{number}", "metadata": {}, "source": source,
         "outputs": [], "execution_count": None}
        for number, source in enumerate(sources)
    ]  # fmt: skip
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = {
        "cells": cells,
        "metadata": {"kernelspec": kernel},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    path.write_text(json.dumps(notebook))


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    make_session(tmp_path / "x.wb", rows=2000)
    path = tmp_path / "x.ipynb"
    write_notebook(path, CELLS)
    return path


def environment(tmp_path: Path) -> dict[str, str]:
    """Settings of this test only: nothing of the user's Jupyter is read or written."""
    root = str(Path(__file__).parents[2])
    return {
        **os.environ,
        "PYTHONPATH": root,
        "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(tmp_path / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(tmp_path / "workspaces"),
        "IPYTHONDIR": str(tmp_path / "ipython"),
    }


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


@pytest.fixture
def lab(browser: Any, notebook: Path, tmp_path: Path) -> Iterator[str]:
    pytest.importorskip("jupyterlab")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = (tmp_path / "lab.log").open("wb")
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}",
         "--ServerApp.port_retries=0", "--ServerApp.ip=127.0.0.1", "--IdentityProvider.token=test",
         "--LabApp.expose_app_in_browser=True", "--LabApp.news_url=None"],
        cwd=tmp_path, env=environment(tmp_path), stdout=log, stderr=log,
    )  # fmt: skip
    try:
        url = f"http://127.0.0.1:{port}/"
        wait_for_server(f"{url}api?token=test", server)
        yield url
    finally:
        server.terminate()
        server.wait(timeout=20)
        log.close()


def wait_for_server(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        assert server.poll() is None, "JupyterLab ended"
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError("JupyterLab did not answer")


READY = """async () => {
    const app = window.jupyterapp; if (!app) return false;
    await app.restored;
    const panel = app.shell.currentWidget;
    if (!panel?.sessionContext) return false;
    await panel.context.ready; await panel.sessionContext.ready;
    const kernel = panel.sessionContext.session?.kernel;
    return panel.sessionContext.isReady && kernel?.connectionStatus === "connected"
        && kernel?.status === "idle";
}"""
RUN = """code => new Promise((resolve, reject) => {
    const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
    const future = kernel.requestExecute({code, stop_on_error: true});
    let text = "";
    future.onIOPub = m => { if (m.header.msg_type === "stream") text += m.content.text; };
    future.done.then(() => resolve(text), reject);
})"""


def wait_until_ready(page: Any) -> None:
    """Wait until the kernel is connected and idle (wait_for_function awaits no promise)."""
    deadline = time.monotonic() + 40
    while not page.evaluate(READY):
        assert time.monotonic() < deadline, "the notebook's kernel did not get ready"
        page.wait_for_timeout(200)


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
