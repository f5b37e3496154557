"""The export panel in a real JupyterLab: files that are downloaded, a receiver that is sent to."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jupyter_lab import RUN, started_lab, wait_until_ready, write_notebook
from synthetic import make_session

from workbench.cli import main
from workbench.export_panel.command_line import CommandLine
from workbench.export_panel.format_form import format_choices
from workbench.exporting import SEND
from workbench.session import open_session

pytestmark = pytest.mark.browser
SHOTS = os.environ.get("WORKBENCH_TEST_SHOTS", "")
"""A folder for pictures of the panel, to be looked at."""
CELLS = [
    "import workbench as wb\nsession = wb.open('x.wb')",
    "panel = session.window(0.5, 9.0).export_panel()\npanel",
]
LABELS = {name: label for label, name in format_choices()}
THEME = "window.jupyterapp.commands.execute('apputils:change-theme', {theme: %r})"


@pytest.fixture
def page(browser: Any, tmp_path: Path, open_page: Callable[..., Any]) -> Any:
    pytest.importorskip("jupyterlab")
    make_session(tmp_path / "x.wb", rows=12_000)
    write_notebook(tmp_path / "x.ipynb", CELLS)
    with started_lab(tmp_path) as lab:
        page = open_page(
            f"{lab}lab/tree/x.ipynb?reset&token=test",
            allow=(lab, lab.replace("http:", "ws:"), "data:", "blob:"),
            ignore=("https://",),  # JupyterLab's own news and help
            viewport={"width": 1250, "height": 1300},
            permissions=["clipboard-read", "clipboard-write"],
        )
        wait_until_ready(page)
        page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
        page.wait_for_selector(".wb-export-command pre")
        yield page


def shot(page: Any, name: str) -> None:
    if SHOTS:
        page.wait_for_timeout(400)
        page.locator(".wb-export").first.screenshot(path=f"{SHOTS}/{name}.png")


def download(page: Any, name: str) -> bytes:
    """Export, and follow the link to this file; that of an earlier one may still be there."""
    page.get_by_role("button", name="Export", exact=True).click()
    link = page.get_by_role("link", name=f"Download {name}", exact=True)
    link.wait_for()
    with page.expect_download() as got:
        link.click()
    assert got.value.suggested_filename == name
    return Path(got.value.path()).read_bytes()


def test_one_click(page: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from otlp_receivers import HttpReceiver

    class Receiver(HttpReceiver):
        messages: list[str]

        def take(self, signal: str, _: Any) -> None:
            self.messages.append(signal)

    part = open_session(tmp_path / "x.wb").window(0.5, 9.0)

    # A small file is a link that holds it.
    data = download(page, "x.pb.gz")
    assert data == part.export("pprof", tmp_path / "expected").read_bytes()
    assert data == (tmp_path / "x.pb.gz").read_bytes()
    shot(page, "file-light")

    # The command line does the same, and the button copies it.
    page.get_by_role("button", name="Copy", exact=True).click()
    text = page.evaluate("navigator.clipboard.readText()")
    assert text == page.locator(".wb-export-command pre").inner_text()
    (tmp_path / "x.pb.gz").unlink()
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(text)[1:]) == 0
    assert (tmp_path / "x.pb.gz").read_bytes() == data

    # A large one comes from the server.
    page.get_by_label("Format", exact=True).select_option(LABELS["csv"])
    page.get_by_label("Table", exact=True).select_option("syscalls")
    data = download(page, "x.csv")
    assert len(data) > 1 << 20
    assert data == part.export("csv", tmp_path / "expected", table="syscalls").read_bytes()

    # A receiver: is it there? Then send; by keyboard.
    with Receiver() as there:
        there.messages = []
        page.get_by_label("Format", exact=True).select_option(LABELS[SEND])
        page.get_by_label("Endpoint").fill(there.endpoint)
        page.get_by_label("Headers").fill("x-key=s3cret")
        page.keyboard.press("Tab")
        page.locator(".wb-export-note", has_text="x-key").wait_for()
        page.get_by_role("button", name="Test connection").focus()
        page.keyboard.press("Enter")
        page.locator(".wb-export-outcome li", has_text="takes them").nth(3).wait_for()
        shot(page, "tested-light")
        assert len(there.messages) == 4  # empty ones
        page.get_by_role("button", name="Send").focus()
        page.keyboard.press("Space")
        page.get_by_role("cell", name="profiles", exact=True).wait_for()
        assert "all delivered" in page.locator(".wb-export-outcome").first.inner_text()
        assert set(there.messages[4:]) == {"traces", "metrics", "logs", "profiles"}
        assert {headers["x-key"] for _, headers, _ in there.requests} == {"s3cret"}
        assert "s3cret" not in page.content()
        shot(page, "sent-light")
    page.evaluate(THEME % "JupyterLab Dark")
    page.wait_for_function("document.body.dataset.jpThemeLight === 'false'")
    shot(page, "sent-dark")

    # Nobody is there any more: an error that can be read; the kernel is free meanwhile.
    page.get_by_role("button", name="Test connection").click()
    page.locator(".wb-export-outcome li", has_text="refused").first.wait_for()
    shot(page, "refused-dark")
    page.set_viewport_size({"width": 640, "height": 1300})
    page.get_by_text("More: compression, TLS").click()
    shot(page, "narrow-dark")
    assert page.evaluate(RUN, "print(type(panel.result).__name__)").strip() == "ConnectionReport"


PAGE = """<!doctype html><meta charset="utf-8">
<div class="wb-export wb-export-k1">the panel
<span class="noUi-handle"></span><span class="noUi-handle"></span></div>
<div data-wb-panel="k1">what stands for it</div><div id="el"></div>
<script type="module">
%s
const known = { panel: "k1", command: "a -o b -c", why: "" };
const manager = %s;
const model = { get: name => known[name], on() {}, off() {}, widget_manager: manager };
window.remove = made.render({ model, el: document.getElementById("el") });
</script>"""


@pytest.mark.parametrize(
    ("manager", "alive"),
    [
        ("{ get_model: async () => ({ comm_live: true }) }", True),
        ("{ get_model: async () => ({ comm_live: false }) }", False),
        ("undefined", True),
    ],
    ids=["kernel", "page of nbconvert", "other"],
)
def test_what_is_shown_without_a_kernel(
    manager: str, alive: bool, tmp_path: Path, open_page: Callable[..., Any]
) -> None:
    """nbconvert's page draws the panel where it gets the scripts from a CDN: it would be dead."""
    path = tmp_path / "page.html"
    script = str(CommandLine().get_state()["_esm"]).replace("export default", "const made =")
    path.write_text(PAGE % (script, manager))
    page = open_page(path)
    shown, hidden = ("visible", "hidden") if alive else ("hidden", "visible")
    page.get_by_text("the panel").wait_for(state=shown)
    page.get_by_text("what stands for it").wait_for(state=hidden)
    handles = page.locator(".noUi-handle")
    assert handles.nth(0).get_attribute("aria-label") == "From, s"
    assert handles.nth(1).get_attribute("aria-label") == "To, s"
    words = page.locator("pre span").all_inner_texts()
    assert words == ["a", "-o b", "-c"]
    page.evaluate("window.remove()")
    page.get_by_text("the panel").wait_for(state="visible")
    page.get_by_text("what stands for it").wait_for(state="visible")
