"""The overview of off-CPU time: what it shows, and that names are never markup."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from synthetic import make_session

from workbench.errors import MissingTableError
from workbench.frames.offcpu import by_state, by_thread
from workbench.recording import Recording
from workbench.views import units
from workbench.views.offcpu import ROWS, OffcpuOverview, _waker


@pytest.fixture
def rec(tmp_path: Path) -> Recording:
    return Recording.open(make_session(tmp_path / "x.wb", kinds=("offcpu",), rows=400))


def test_figures_are_the_sums_of_the_tables(rec: Recording) -> None:
    view = OffcpuOverview(rec)
    states, threads = by_state(rec), by_thread(rec)
    off = states["off"].cast(int).sum()
    assert view.totals["off"] == off == threads["off"].cast(int).sum()
    assert view.totals["blocked"] + view.totals["runnable"] == off
    assert [label for _, label, _ in view.figures] == [
        "off the CPU", "blocked", "waited for a CPU", "periods", "longest period"]  # fmt: skip
    assert view.figures[0][0] == units.duration(off)
    assert repr(view).startswith(f"<OffcpuOverview: {units.duration(off)} off the CPU")


def test_tables(rec: Recording) -> None:
    text = OffcpuOverview(rec, title="<i>T</i>").fragment()
    captions = re.findall(r"<caption>(.*?)</caption>", text)
    assert [caption.split(",")[0] for caption in captions] == [
        "Why threads left the CPU", "Threads", "Who woke them", "Longest periods"]  # fmt: skip
    longest = text[text.index("Longest periods") :]
    assert longest.count("<tr>") == ROWS + 1
    assert "main" in longest
    assert "&lt;i&gt;T" in text
    assert "events of offcpu were lost" in text


def test_pages(rec: Recording, tmp_path: Path) -> None:
    view = OffcpuOverview(rec)
    assert view.save(tmp_path / "o.html").read_text().startswith("<!DOCTYPE html>")
    assert view._repr_html_().startswith("<style>")


def test_nothing_selected(rec: Recording) -> None:
    view = OffcpuOverview(rec.where(pid=77))
    assert view.figures[0][0] == "0 ns"
    assert len(view.figures) == 4
    assert "<table" not in view.fragment()
    with pytest.raises(MissingTableError):
        OffcpuOverview(Recording.open(make_session(rec.path.with_name("y.wb"), rows=5)))


@pytest.mark.parametrize(
    ("waker", "tid", "comm", "shown"),
    [
        ("task", 7, "x", "x"),
        ("task", 7, None, "thread 7"),
        ("softirq", 7, "x", "x (softirq)"),
        ("softirq", 0, None, "timer or device"),  # on top of an idle CPU
        ("interrupt", 0, None, "timer or device"),
        ("none", 0, None, "–"),
    ],
)
def test_wakers_by_name(waker: str, tid: int, comm: str | None, shown: str) -> None:
    assert _waker({"waker": waker, "waker_comm": comm, "waker_tid": tid}) == shown
