from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fake_recording import FakeRecording
from synthetic import make_session

from workbench.errors import MissingTableError
from workbench.recording import Recording
from workbench.views.syscalls import SyscallOverview

HOSTILE = "</script><img src=x onerror=alert(1)>"


def recording(rows: list[dict[str, Any]]) -> Any:
    rec = FakeRecording(syscalls=rows)
    rec.seconds = 2.0
    return rec


CALLS = [
    {"name": "read", "latency": 1000, "errno": None},
    {"name": "read", "latency": 3000, "errno": 11},
    {"name": HOSTILE, "latency": 9_000_000, "errno": None},
]


def test_figures() -> None:
    overview = SyscallOverview(recording(CALLS))
    assert overview.figures == [
        ("3", "calls", "1.5 a second"),
        ("1", "errors", "33.3% of calls"),
        ("2", "distinct calls", "most often read"),
        ("9 ms", "time in system calls", "over all threads, waiting included"),
        ("9 ms", "slowest call", HOSTILE),
    ]
    assert repr(overview).startswith("<SyscallOverview: 3 calls, 1 errors")


def test_names_are_never_markup() -> None:
    text = SyscallOverview(recording(CALLS), title=HOSTILE)._repr_html_()
    assert "<img" not in text
    assert text.count("</script>") == 1


def test_view_is_small_and_bokeh_is_in_it_once() -> None:
    overview = SyscallOverview(recording(CALLS))
    assert len(overview.fragment()) < 600_000
    assert len(overview.fragment(with_bokeh=False)) < 80_000


def test_nothing_captured() -> None:
    overview = SyscallOverview(recording([]))
    assert overview.figures[0] == ("0", "calls", "0 a second")
    assert "<div" in overview._repr_html_()
    with pytest.raises(MissingTableError):
        SyscallOverview(FakeRecording(cpu=[]))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["syscalls", "syscalls_agg"])
def test_real_session(kind: str, tmp_path: Path) -> None:
    with Recording.open(make_session(tmp_path / "x.wb", kinds=(kind,), rows=500)) as rec:
        overview = SyscallOverview(rec)
        text = overview.save(tmp_path / "x.html").read_text()
    assert ("Counted in the kernel" in text) == (kind == "syscalls_agg")
    assert "were lost" in text
    assert len(overview.figures) == (4 if kind == "syscalls_agg" else 5)
