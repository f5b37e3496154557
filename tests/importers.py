"""The programs that open what the workbench exports: speedscope and the Firefox Profiler.

``tools/importers.sh`` gets them (``make setup`` calls it); tests are skipped without them.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

IMPORTERS = Path(__file__).parent.parent / "build" / "importers"
CHROMIUM = Path(os.environ.get("WORKBENCH_CHROMIUM", "/usr/bin/chromium"))
_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files")


def importer(name: str) -> Path:
    """Return the folder of an unpacked npm package, or skip the test."""
    path = IMPORTERS / name / "package"
    if not path.is_dir():
        pytest.skip(f"no {name} here (tools/importers.sh gets it)")
    return path


@contextmanager
def speedscope(work: Path) -> Iterator[Any]:
    """Start speedscope in Chromium; give a function from a file to what speedscope makes of it.

    It is saved by speedscope itself, in its own format, so that all of its importer has run.
    """
    release = importer("speedscope") / "dist" / "release"
    if not CHROMIUM.exists():
        pytest.skip(f"no Chromium at {CHROMIUM}")
    from playwright.sync_api import sync_playwright

    def opened(path: Path) -> Any:
        content = base64.b64encode(path.read_bytes()).decode()
        script = work / "load.js"
        arguments = f"{json.dumps(path.name)}, {json.dumps(content)}"
        script.write_text(f"speedscope.loadFileFromBase64({arguments})")
        page = started.new_page(accept_downloads=True)
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(f"file://{release}/index.html#localProfilePath={script}")
        page.wait_for_function("document.title !== 'speedscope'", timeout=60_000)
        with page.expect_download(timeout=60_000) as download:
            page.keyboard.press("Control+s")
        found = json.loads(Path(download.value.path()).read_text())
        page.close()
        faults = [line for line in said if "ailed" in line or "Error" in line]
        assert not faults, said
        return found

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(_FLAGS))
        try:
            yield opened
        finally:
            started.close()


@contextmanager
def firefox_profiler(path: Path) -> Iterator[Any]:
    """Open a file in the Firefox Profiler; give a function from words to its answer, as JSON.

    Its ``load`` gives its daemon half a second to start, so the daemon is started here.
    """
    program = importer("profiler-cli") / "dist" / "profiler-cli.js"
    with tempfile.TemporaryDirectory(prefix="pq-") as folder:  # a short path: it holds a socket
        environment = os.environ | {"PROFILER_CLI_SESSION_DIR": folder}

        def call(*words: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                ["node", program, *words, "--session", "t", "--json"],
                env=environment, capture_output=True, text=True, timeout=100, check=False,
            )  # fmt: skip

        def ask(*words: str) -> Any:
            done = call(*words)
            assert done.returncode == 0, done.stdout + done.stderr
            return json.loads(done.stdout)

        with Path(folder, "said").open("w+") as log:
            daemon = subprocess.Popen(
                ["node", program, "--daemon", path, "--session", "t"],
                env=environment, stdout=log, stderr=log,
            )  # fmt: skip
            try:
                # Nothing is asked earlier: a client that cannot reach it removes its socket.
                deadline = time.monotonic() + 100
                told = Path(folder, "t.log")
                while not (told.exists() and "loaded successfully" in told.read_text()):
                    assert daemon.poll() is None, Path(log.name).read_text()
                    assert time.monotonic() < deadline, told.read_text()
                    time.sleep(0.05)
                yield ask
            finally:
                daemon.terminate()
                daemon.wait(30)
