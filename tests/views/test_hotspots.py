import polars as pl
from fake_recording import FakeRecording, stacks_of

from workbench.views.hotspots import ROWS, Hotspots


def test_functions_and_lines_are_shown_and_escaped():
    samples = [("x", [("main", "/bin/x", "native"), ("<f>", "/lib/y", "native")], 3)]
    view = Hotspots(stacks_of(samples))
    shown = view._repr_html_()
    assert "&lt;f&gt;" in shown
    assert "<f>" not in shown
    assert "Source lines" not in shown  # none is known
    assert "Lines of Python" not in shown
    assert repr(view) == "<Hotspots: 2 functions, most self time in <f>>"


def many():
    frames = [
        {"frame_id": i, "function": f"f{i}", "module": "/m", "file": "a.py", "line": i,
         "kind": "python"}
        for i in range(50)
    ]  # fmt: skip
    return FakeRecording(
        frames=frames,
        stacks=[{"stack_id": i, "frame_ids": [i]} for i in range(50)],
        offcpu=[
            {"stack_id": i, "weight": 1, "blocked": 1_000_000 * i, "runnable": 0} for i in range(50)
        ],
    )


def test_long_tables_say_that_they_are_cut_and_times_are_times():
    view = Hotspots(many(), "offcpu")
    assert len(view.lines) == 49  # one waited for no time
    assert f"first {ROWS} of 49" in view.fragment()
    assert "49 ms" in view.fragment()
    assert "a.py:49" in view.fragment()
    assert view.fragment().index("Lines of Python") < view.fragment().index("Functions")
    assert view.functions["self"].sum() == pl.Series(range(50)).sum() * 1_000_000


def test_saved(tmp_path):
    assert "f49" in Hotspots(many(), "offcpu").save(tmp_path / "h.html").read_text()


def test_incomplete_stacks_are_told():
    entry = {"kind": "cpu", "cpu": 0, "produced": 3, "delivered": 3, "dropped": {}}
    losses = (entry | {"stacks": {"complete": 2, "truncated": 1}},)
    view = Hotspots(stacks_of([("x", [("f", "", "native")], 3)], manifest={"losses": losses}))
    assert "1 of 3 stacks of cpu are incomplete" in view.fragment()
