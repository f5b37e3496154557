"""The flamegraph in a real browser: what is drawn, and what mouse and keyboard do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_recording import offcpu_of, stacks_of, wide_tree

from workbench.frames.flame import FlameTree, flame_tree
from workbench.views.flamegraph import Flamegraph
from workbench.views.html import base64_text, inline_module
from workbench.views.html import page as html_page
from workbench.views.payload import payload

pytestmark = pytest.mark.browser
ROW = 19
HOSTILE = "</script><img src=x onerror=alert(1)>"
NATIVE, KERNEL, PYTHON = (
    (name, "/usr/bin/app", kind)
    for name, kind in (("main", "native"), ("sys_read", "kernel"), ("app.run", "python"))
)
SAMPLES = [
    ("worker", [NATIVE, PYTHON, KERNEL], 50),
    ("worker", [NATIVE, PYTHON], 30),
    ("other", [NATIVE, (HOSTILE, HOSTILE, "native")], 20),
]
REC = stacks_of(SAMPLES, manifest={"kinds": {"cpu": {"hz": 100}}})


@pytest.fixture
def show(open_page: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    def show_one(tree: FlameTree | None = None, *, scheme: str = "light", **options: Any) -> Any:
        graph = Flamegraph(tree or flame_tree(REC), title="profile", **options)
        page = open_page(graph.save(tmp_path / "x.html"), color_scheme=scheme)
        page.wait_for_selector("canvas[data-drawn]")
        return page

    return show_one


def drawn(page: Any) -> int:
    return int(page.locator("canvas").get_attribute("data-drawn"))


def at(page: Any, tree: FlameTree, node: int, *, icicle: bool = False) -> dict[str, float]:
    """Middle of an unzoomed node inside the canvas."""
    box = page.locator("canvas").bounding_box()
    x = (tree.left[node] + tree.width[node] / 2) / tree.width[0] * box["width"]
    rows = int(tree.depth.max()) + 1
    row = int(tree.depth[node]) if icicle else rows - 1 - int(tree.depth[node])
    return {"x": x, "y": (row + 0.5) * ROW}


def colour(page: Any, where: dict[str, float]) -> tuple[int, ...]:
    """Colour near the top of the row at a point, where no text is."""
    script = """([x, y]) => { const c = document.querySelector("canvas");
        const k = c.width / c.clientWidth;
        return [...c.getContext("2d").getImageData(x * k, (y - 7) * k, 1, 1).data] }"""
    return tuple(page.evaluate(script, [where["x"], where["y"]]))


def settled(page: Any, action: Callable[[], Any]) -> None:
    """Do something and wait until the canvas was painted again."""
    before = page.locator("canvas").get_attribute("data-paints")
    action()
    page.wait_for_function(
        "before => document.querySelector('canvas').dataset.paints !== before", arg=before
    )


def find(tree: FlameTree, name: str) -> int:
    return next(node for node in range(len(tree)) if tree.label(node) == name)


def test_kinds_have_their_colours_and_a_legend(show: Callable[..., Any]) -> None:
    tree = flame_tree(REC)
    page = show()
    found = {
        name: colour(page, at(page, tree, find(tree, name)))
        for name in ("worker", "main", "app.run", "sys_read")
    }
    assert len(set(found.values())) == 4
    legend = page.locator(".wb-legend").inner_text()
    assert "kernel 50.0%" in legend
    assert "Python 30.0%" in legend
    assert page.locator("canvas").get_attribute("aria-label").startswith("profile")


def test_click_zooms_and_keeps_ancestors(show: Callable[..., Any]) -> None:
    tree = flame_tree(REC)
    page = show()
    canvas, node = page.locator("canvas"), find(tree, "other")
    reset = page.get_by_role("button", name="Reset zoom")
    assert reset.is_disabled()
    before = colour(page, {"x": 20, "y": at(page, tree, node)["y"]})
    settled(page, lambda: canvas.click(position=at(page, tree, node)))
    where = page.locator(".wb-flame-where").inner_text()
    assert where.startswith("all")
    assert "other" in where
    assert "20 samples ≈ 200 ms, 20.0% of all" in where
    # Fewer levels now: the root is still at the bottom, muted, and "other" is above it.
    height = canvas.bounding_box()["height"]
    assert colour(page, {"x": 20, "y": height - 1.5 * ROW}) != before
    assert drawn(page) == 4
    settled(page, reset.click)
    assert page.locator(".wb-flame-where").inner_text().startswith("all 100 samples")
    assert colour(page, {"x": 20, "y": at(page, tree, node)["y"]}) == before
    settled(page, lambda: canvas.click(position=at(page, tree, node)))
    settled(page, lambda: canvas.dblclick(position={"x": 20, "y": height - ROW / 2}))
    assert reset.is_disabled()


def test_tooltip_tells_everything_as_text(show: Callable[..., Any]) -> None:
    tree = flame_tree(REC)
    page = show()
    node = find(tree, HOSTILE)
    page.locator("canvas").hover(position=at(page, tree, node))
    tip = page.locator(".wb-tip")
    tip.wait_for(state="visible")
    text = tip.inner_text()
    assert HOSTILE in text
    assert "native" in text
    assert "20 samples ≈ 200 ms" in text
    assert "20.0%" in text
    assert "100%" in text  # of its caller
    assert page.locator("img").count() == 0
    page.mouse.move(2, 2)
    tip.wait_for(state="hidden")


def test_search_highlights_and_counts(show: Callable[..., Any]) -> None:
    tree = flame_tree(REC)
    page = show()
    where = at(page, tree, find(tree, "app.run"))
    plain = colour(page, where)
    settled(page, lambda: page.fill("input", "app.RUN|sys_"))
    assert page.locator("output").inner_text() == "80.0% in 2 frames"
    assert colour(page, where) == (168, 18, 124, 255)
    settled(page, lambda: page.fill("input", "nothing"))
    assert page.locator("output").inner_text() == "no match"
    settled(page, lambda: page.fill("input", "("))
    assert "not a regular expression" in page.locator("output").inner_text()
    assert page.locator("input").get_attribute("aria-invalid") == "true"
    settled(page, lambda: page.fill("input", ""))
    assert colour(page, where) == plain


def test_icicle_turns_it_over(show: Callable[..., Any]) -> None:
    tree = flame_tree(REC)
    page = show()
    node = find(tree, "sys_read")
    flame = colour(page, at(page, tree, node))
    settled(page, lambda: page.get_by_role("button", name="Icicle").click())
    assert colour(page, at(page, tree, node, icicle=True)) == flame
    assert colour(page, at(page, tree, node)) != flame
    assert page.get_by_role("button", name="Flame").is_visible()


def test_keyboard(show: Callable[..., Any]) -> None:
    page = show()
    page.locator("canvas").focus()
    live = page.locator("[aria-live]")
    for key, name in (
        ("ArrowUp", "all"),
        ("ArrowUp", "worker"),
        ("ArrowRight", "other"),
        ("ArrowUp", "main"),
        ("ArrowDown", "other"),
    ):
        settled(page, lambda key=key: page.keyboard.press(key))
        assert live.inner_text().startswith(f"{name}:")
    settled(page, lambda: page.keyboard.press("Enter"))
    assert "20.0% of all" in page.locator(".wb-flame-where").inner_text()
    settled(page, lambda: page.keyboard.press("Escape"))
    assert page.get_by_role("button", name="Reset zoom").is_disabled()
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.type") == "search"


def test_copy_by_key_and_menu(show: Callable[..., Any]) -> None:
    tree = flame_tree(REC)
    page = show()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    canvas = page.locator("canvas")
    node = find(tree, HOSTILE)
    canvas.click(button="right", position=at(page, tree, node))
    page.get_by_role("menuitem", name="Copy stack").click()
    page.wait_for_function("document.querySelector('output').textContent === 'copied'")
    assert page.evaluate("navigator.clipboard.readText()") == f"all;other;main;{HOSTILE}"
    canvas.focus()
    canvas.hover(position=at(page, tree, node))
    page.keyboard.press("c")
    page.wait_for_function(
        "async name => await navigator.clipboard.readText() === name", arg=HOSTILE
    )
    canvas.click(button="right", position=at(page, tree, node))
    page.get_by_role("menuitem", name="Search").click()
    assert page.locator("output").inner_text().startswith("20.0% in 1 frame")


def test_theme_changes_while_shown(show: Callable[..., Any]) -> None:
    page = show(flame_tree(REC), scheme="dark")
    empty = {"x": page.locator("canvas").bounding_box()["width"] - 3, "y": ROW / 2}
    assert colour(page, empty) == (20, 23, 28, 255)
    settled(page, lambda: page.emulate_media(color_scheme="light"))
    assert colour(page, empty) == (255, 255, 255, 255)


def test_resize_and_density(open_page: Callable[..., Any], tmp_path: Path) -> None:
    path = Flamegraph(flame_tree(REC)).save(tmp_path / "x.html")
    page = open_page(path, device_scale_factor=2, viewport={"width": 900, "height": 500})
    page.wait_for_selector("canvas[data-drawn]")
    size = (
        "(() => { const c = document.querySelector('canvas'); return [c.width, c.clientWidth] })()"
    )
    wide, css = page.evaluate(size)
    assert wide == 2 * css
    settled(page, lambda: page.set_viewport_size({"width": 500, "height": 500}))
    narrow, css = page.locator("canvas").evaluate(size)
    assert narrow == 2 * css < wide


def test_no_names_are_left_and_several_fit_on_a_page(
    open_page: Callable[..., Any], tmp_path: Path
) -> None:
    graph = Flamegraph(flame_tree(REC), title="twice")
    path = tmp_path / "x.html"
    path.write_text(html_page("two", graph.fragment() + graph.fragment()))
    empty = tmp_path / "empty.html"
    empty.write_text("<!DOCTYPE html><title>x</title>")
    names = "Object.getOwnPropertyNames(window).sort()"
    before = open_page(empty).evaluate(names)
    page = open_page(path)
    page.wait_for_function("document.querySelectorAll('canvas[data-drawn]').length === 2")
    assert page.evaluate(names) == before
    assert page.locator("script").count() == 0


DISPOSE = """async ([module, text]) => {
    const view = (0, eval)(module);
    const connected = [];
    const state = {payload: Uint8Array.from(atob(text), c => c.charCodeAt(0)), height: 300};
    const model = {get: key => state[key], set: (key, value) => { state[key] = value },
        save_changes() {}, on: (...pair) => connected.push(pair),
        off: (...pair) => connected.splice(connected.findIndex(
            other => other[0] === pair[0] && other[1] === pair[1]), 1)};
    const el = document.createElement("div");
    document.body.append(el);
    const stop = view.render({model, el});
    while (!el.querySelector("canvas[data-drawn]")) await new Promise(requestAnimationFrame);
    const canvas = el.querySelector("canvas");
    const [painted, during] = [canvas.dataset.paints, connected.length];
    stop();
    canvas.dispatchEvent(new KeyboardEvent("keydown", {key: "ArrowUp"}));
    await new Promise(requestAnimationFrame);
    await new Promise(requestAnimationFrame);
    return [during, connected.length, el.childElementCount, canvas.dataset.paints - painted];
}"""


def test_dispose_removes_everything(open_page: Callable[..., Any], tmp_path: Path) -> None:
    empty = tmp_path / "empty.html"
    empty.write_text("<!DOCTYPE html><title>x</title><body>")
    text = base64_text(payload(flame_tree(REC)))
    found = open_page(empty).evaluate(DISPOSE, [inline_module("flamegraph.js"), text])
    assert found == [3, 0, 0, 0]


@pytest.mark.parametrize(
    ("samples", "text"),
    [([], "No samples"), ([("x", [], 5)], "5 samples")],
    ids=["empty", "only a thread"],
)
def test_tiny_trees(
    samples: list[Any], text: str, open_page: Callable[..., Any], tmp_path: Path
) -> None:
    page = open_page(Flamegraph(flame_tree(stacks_of(samples))).save(tmp_path / "x.html"))
    page.get_by_text(text).first.wait_for()


def test_deep_stacks_scroll_and_losses_are_shown(show: Callable[..., Any]) -> None:
    deep = stacks_of([("x", [(f"f{depth}", "", "native") for depth in range(127)], 9)])
    page = show(flame_tree(deep), notice="3 of 9 events were lost.", height=300)
    assert page.get_by_role("alert").inner_text() == "3 of 9 events were lost."
    scroller = page.locator(".wb-flame-scroll")
    assert scroller.evaluate("e => e.scrollTop + e.clientHeight >= e.scrollHeight - 1")
    page.locator("canvas").focus()
    for _ in range(40):
        page.keyboard.press("ArrowUp")
    page.wait_for_function("document.querySelector('[aria-live]').textContent.startsWith('f37:')")
    assert scroller.evaluate("e => e.scrollTop") < 127 * ROW - 300


def test_many_nodes_are_painted_in_time(show: Callable[..., Any]) -> None:
    tree = wide_tree(250_000)
    page = show(tree)
    canvas = page.locator("canvas")
    settled(page, lambda: canvas.click(position=at_bottom(page, 3)))
    times = [float(canvas.get_attribute("data-ms"))]
    settled(page, lambda: page.fill("input", "function_1"))
    times.append(float(canvas.get_attribute("data-ms")))
    assert "frames" in page.locator("output").inner_text()
    assert min(times) < 60, times  # about 10 ms on an idle machine


def at_bottom(page: Any, depth: int) -> dict[str, float]:
    return {"x": 40, "y": page.locator("canvas").bounding_box()["height"] - (depth + 0.5) * ROW}


def test_times_are_shown_as_times(show: Callable[..., Any]) -> None:
    row = {"comm": "t", "state": "sleeping", "blocked": 1_500_000, "runnable": 500_000}
    tree = flame_tree(offcpu_of([{**row, "path": [NATIVE, KERNEL]}]), "offcpu")
    page = show(tree)
    assert page.locator(".wb-flame-where").inner_text() == "all 2 ms"
    page.mouse.move(*centre(page, tree, 2))
    assert "2 ms" in page.locator(".wb-tip").inner_text()
    assert " ns" not in page.locator(".wb-tip-figures dd").first.inner_text()
    title = page.locator(".wb-legend-item").first.get_attribute("title")
    assert title == "100% of the time was in kernel code itself"


def centre(page: Any, tree: FlameTree, node: int) -> tuple[float, float]:
    box, where = page.locator("canvas").bounding_box(), at(page, tree, node)
    return box["x"] + where["x"], box["y"] + where["y"]
