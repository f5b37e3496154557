from __future__ import annotations

import re
from pathlib import Path

from fake_recording import offcpu_of, stacks_of

from workbench.frames.flame import flame_tree
from workbench.views.flamegraph import Flamegraph

HOSTILE = "</script><img src=x onerror=alert(1)>"
LOSSES = ({"kind": "cpu", "cpu": 0, "produced": 9, "delivered": 8, "dropped": {"ring_full": 1}},)


def test_names_are_never_markup() -> None:
    rec = stacks_of([(HOSTILE, [(HOSTILE, HOSTILE, "native")], 3)])
    text = Flamegraph(flame_tree(rec), title=HOSTILE)._repr_html_()
    assert "<img" not in text
    assert text.count("</script>") == 1


def test_fallback_names_the_hottest_functions() -> None:
    rec = stacks_of([("x", [("hot", "", "native")], 3), ("x", [("cold", "", "native")], 1)])
    text = Flamegraph(flame_tree(rec), title="T")._fallback()
    cells = re.findall(r"<td.*?>(.*?)</td>", text)
    assert cells == ["hot", "3", "75.0%", "cold", "1", "25.0%"]


def test_times_are_shown_as_times() -> None:
    row = {"state": "sleeping", "blocked": 1_500_000, "runnable": 500_000}
    rec = offcpu_of([{**row, "path": [("f", "", "native")]}])
    graph = Flamegraph.of(rec, "offcpu")
    assert repr(graph) == "<Flamegraph of 2 ms, 3 nodes>"
    assert re.findall(r"<td.*?>(.*?)</td>", graph._fallback()) == ["f", "2 ms", "100%"]
    assert graph.title == "offcpu: time off the CPU"
    blocked = Flamegraph.of(rec, "offcpu", weight="blocked", stack="waker_stack_id")
    assert blocked.title == "offcpu: time blocked, by the stack that woke"
    assert blocked.tree.total == 1_500_000


def test_empty_tree_and_single_node() -> None:
    for rec in (stacks_of([]), stacks_of([("x", [], 1)])):
        assert "<div" in Flamegraph(flame_tree(rec))._repr_html_()


def test_lossy_recording_says_so() -> None:
    rec = stacks_of([("x", [], 8)], manifest={"losses": LOSSES})
    graph = Flamegraph.of(rec)
    assert graph.notice == "1 of 9 events of cpu were lost (11.1%: ring_full 1)."
    assert "ring_full 1" in graph._repr_html_()
    assert repr(graph) == "<Flamegraph of 8 samples, 2 nodes>"


def test_incomplete_stacks_are_told_above_the_graph() -> None:
    entry = {"kind": "cpu", "cpu": 0, "produced": 8, "delivered": 8, "dropped": {}}
    losses = (entry | {"stacks": {"complete": 6, "image_missing": 2}},)
    graph = Flamegraph.of(stacks_of([("x", [], 8)], manifest={"losses": losses}))
    assert graph.notice == "2 of 8 stacks of cpu are incomplete (25.0%: image_missing 2)."
    assert "image_missing 2" in graph._repr_html_()


def test_save_writes_a_whole_page(tmp_path: Path) -> None:
    path = Flamegraph(flame_tree(stacks_of([("x", [], 1)])), title="T").save(tmp_path / "f.html")
    text = path.read_text()
    assert text.startswith("<!DOCTYPE html>")
    assert "<title>T</title>" in text


def test_widget_has_the_same_state_and_module() -> None:
    graph = Flamegraph(flame_tree(stacks_of([("x", [], 1)])), title="T", icicle=True, search="x")
    widget = graph.widget()
    assert (widget.title, widget.icicle, widget.search, widget.focus) == ("T", True, "x", 0)
    assert widget.payload == graph._payload
    seen: list[int] = []
    widget.observe(lambda change: seen.append(change["new"]), "focus")
    widget.focus = 1
    assert seen == [1]
