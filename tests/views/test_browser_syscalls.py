"""The overview of system calls and the report in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_recording import FakeRecording
from synthetic import make_session

from workbench.recording import Recording
from workbench.views.html import page as html_page
from workbench.views.report import report
from workbench.views.syscalls import SyscallOverview

pytestmark = pytest.mark.browser
HOSTILE = "</script><img src=x onerror=alert(1)>"
CALLS = [
    *({"name": "read", "latency": 1500, "errno": None} for _ in range(8)),
    *({"name": "openat", "latency": 40_000, "errno": 2} for _ in range(3)),
    {"name": HOSTILE, "latency": 2_000_000, "errno": 13},
]
# The columns of the last plot on the page.
COLUMNS = """() => {
    const view = [...window.Bokeh.index].at(-1);
    const data = view.model.document.get_model_by_name("wb-calls").data;
    return [[...data.range], [...data.calls]];
}"""
# Whether some canvas, also inside shadow roots, has many pixels in the colour of the bars.
BLUE = """() => {
    const all = root => [...root.querySelectorAll("*")].flatMap(
        element => [element, ...(element.shadowRoot ? all(element.shadowRoot) : [])]);
    return all(document).filter(element => element.tagName === "CANVAS").some(canvas => {
        const image = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        let n = 0;
        for (let i = 0; i < image.data.length; i += 4)
            if (image.data[i] === 79 && image.data[i + 1] === 151 && image.data[i + 2] === 209) n++;
        return n > 500;
    });
}"""
# Labels of the latency axis, and the pixels between two of them.
LABELS = """() => {
    const plot = Bokeh.documents[0].get_model_by_name("wb-plot");
    const {start, end} = plot.x_range;
    const ticks = plot.below[0].ticker.ticks;
    const shown = ticks.filter(tick => tick >= start && tick <= end);
    const decade = plot.inner_width / Math.log10(end / start);
    return [shown.length, shown.slice(1).map((tick, i) => decade * Math.log10(tick / shown[i]))];
}"""
AMD = "<script>window.define = () => { throw new Error('define'); }; define.amd = {};</script>"


def recording(calls: list[dict[str, Any]]) -> Any:
    rec = FakeRecording(syscalls=calls)
    rec.seconds = 1.0
    return rec


@pytest.fixture
def page(open_page: Callable[..., Any], tmp_path: Path) -> Any:
    shown = open_page(SyscallOverview(recording(CALLS)).save(tmp_path / "x.html"))
    shown.wait_for_selector(".wb-plot canvas")
    return shown


def names(page: Any) -> list[str]:
    return page.locator(".wb-sortable tbody .wb-name").all_inner_texts()


def heights(page: Any) -> dict[str, int]:
    """Calls by latency range, as the plot's source has them."""
    return dict(zip(*page.evaluate(COLUMNS), strict=True))


def test_table_sorts_filters_and_shows_names_as_text(page: Any) -> None:
    assert names(page) == [HOSTILE, "openat", "read"]
    assert page.locator("img").count() == 0
    calls = page.get_by_role("button", name="calls", exact=True)
    calls.click()
    assert names(page) == ["read", "openat", HOSTILE]
    calls.click()
    assert names(page) == [HOSTILE, "openat", "read"]
    assert page.locator("th[aria-sort=ascending]").inner_text().startswith("calls")
    page.get_by_role("button", name="system call").click()
    assert names(page) == [HOSTILE, "openat", "read"]
    page.fill("input", "REA")
    assert names(page) == ["read"]
    assert page.locator("output").inner_text() == "1 of 3"


def test_figures_have_units(page: Any) -> None:
    row = page.locator(".wb-sortable tbody tr", has_text="openat").inner_text().split("\t")
    assert [cell.strip() for cell in row] == [
        "openat", "3", "3", "100%", "120 µs", "40 µs", "40 µs", "40 µs", "40 µs",
    ]  # fmt: skip
    assert "12 a second" in page.locator(".wb-cards").inner_text()


def test_choosing_a_call_changes_histogram_and_errors(page: Any) -> None:
    assert sum(heights(page).values()) == 12
    assert page.locator(".wb-errors tbody tr").count() == 2
    page.locator(".wb-sortable tbody tr", has_text="openat").click()
    assert page.get_by_text("Latency of openat").is_visible()
    assert heights(page) == {"32.8 µs to 65.5 µs": 3}
    assert page.locator(".wb-errors tbody tr").all_inner_texts() == ["ENOENT\topenat\t3"]
    page.locator(".wb-name", has_text="read").focus()
    page.keyboard.press("Enter")
    assert page.get_by_text("No errors of read").is_visible()
    assert heights(page) == {"1.02 µs to 2.05 µs": 8}
    page.locator(".wb-sortable tbody tr", has_text="read").click()
    assert page.get_by_text("Latency of all calls").is_visible()


@pytest.mark.parametrize("width", [1300, 700, 380])
def test_labels_of_the_latency_have_room(
    open_page: Callable[..., Any], tmp_path: Path, width: int
) -> None:
    latencies = [1, 10**10]  # ten decades
    calls = [{"name": "read", "latency": ns, "errno": None} for ns in latencies]
    page = open_page(SyscallOverview(recording(calls)).save(tmp_path / "x.html"))
    page.set_viewport_size({"width": width, "height": 800})
    page.wait_for_selector(".wb-plot canvas")
    page.wait_for_timeout(300)  # the plot follows the new width
    count, gaps = page.evaluate(LABELS)
    assert count >= 3
    assert min(gaps) >= 50


def test_bars_are_really_drawn(page: Any) -> None:
    page.wait_for_function(BLUE)


def test_two_views_share_one_bokeh(open_page: Callable[..., Any], tmp_path: Path) -> None:
    overview = SyscallOverview(recording(CALLS))
    path = tmp_path / "two.html"
    path.write_text(html_page("two", overview.fragment() + overview.fragment(with_bokeh=False)))
    page = open_page(path)
    page.wait_for_function("document.querySelectorAll('.wb-plot > *').length === 2")
    assert page.get_by_text("cannot be shown").count() == 0


def test_page_with_a_module_loader(open_page: Callable[..., Any], tmp_path: Path) -> None:
    overview = SyscallOverview(recording(CALLS))
    path = tmp_path / "amd.html"
    path.write_text(html_page("amd", AMD + overview.fragment()))
    open_page(path).wait_for_selector(".wb-plot canvas")


def test_nothing_captured(open_page: Callable[..., Any], tmp_path: Path) -> None:
    page = open_page(SyscallOverview(recording([])).save(tmp_path / "x.html"))
    page.get_by_text("No system calls").wait_for()


@pytest.mark.parametrize("width", [1280, 800])
@pytest.mark.parametrize("kinds", [("syscalls", "cpu"), ("syscalls_agg",)], ids=str)
def test_report(
    kinds: tuple[str, ...], width: int, open_page: Callable[..., Any], tmp_path: Path
) -> None:
    with Recording.open(make_session(tmp_path / "x.wb", kinds=kinds, rows=2000)) as rec:
        path = report(rec, tmp_path / "x.html")
    page = open_page(path, viewport={"width": width, "height": 900})
    page.wait_for_selector(".wb-plot canvas")
    if "cpu" in kinds:
        page.wait_for_selector("canvas[data-drawn]")
    assert page.locator("h1").inner_text().endswith("python3 job.py")
    assert page.get_by_role("alert").first.is_visible()
    # Nothing is cut off or sticks out to the right.
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    table = page.locator(".wb-sortable").bounding_box()
    box = page.locator(".wb-tall").bounding_box()
    assert table["width"] <= box["width"] + 1
