"""A JupyterLab of the test's own, and notebooks to open in it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


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


def environment(tmp_path: Path) -> dict[str, str]:
    """Settings of this test only: nothing of the user's Jupyter is read or written."""
    root = str(Path(__file__).parents[1])
    return {
        **os.environ,
        "PYTHONPATH": root,
        "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(tmp_path / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(tmp_path / "workspaces"),
        "IPYTHONDIR": str(tmp_path / "ipython"),
    }


@contextmanager
def started_lab(folder: Path) -> Iterator[str]:
    """A server whose root is a folder; its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = (folder / "lab.log").open("wb")
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}",
         "--ServerApp.port_retries=0", "--ServerApp.ip=127.0.0.1", "--IdentityProvider.token=test",
         "--LabApp.expose_app_in_browser=True", "--LabApp.news_url=None"],
        cwd=folder, env=environment(folder), stdout=log, stderr=log,
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
