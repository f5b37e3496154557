from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import reading
from synthetic import make_session

from workbench.recording import Recording
from workbench.views.report import report


def written(tmp_path: Path, *kinds: str, rows: int = 300) -> str:
    with Recording.open(make_session(tmp_path / "x.wb", kinds=kinds, rows=rows)) as rec:
        return report(rec, tmp_path / "x.html").read_text()


def titles(text: str) -> list[str]:
    return re.findall(r"<h2>(.*?)</h2>", text)


ENDS = ["Processes", "Losses", "Overhead"]


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (("syscalls", "cpu"), ["Flamegraph: cpu", "Hot spots: cpu", "System calls"]),
        (("cpu",), ["Flamegraph: cpu", "Hot spots: cpu"]),
        (("offcpu",), ["Flamegraph: offcpu", "Hot spots: offcpu", "Off-CPU time"]),
        (
            ("cpu", "offcpu"),
            [
                "Flamegraph: cpu",
                "Hot spots: cpu",
                "Flamegraph: offcpu",
                "Hot spots: offcpu",
                "Off-CPU time",
            ],
        ),
        (("syscalls",), ["System calls"]),
        (("syscalls_agg",), ["System calls"]),
    ],
)
def test_sections_follow_the_recording(
    kinds: tuple[str, ...], expected: list[str], tmp_path: Path
) -> None:
    text = written(tmp_path, *kinds)
    assert titles(text) == ["In short", *expected, *ENDS]
    assert "python3 job.py" in text
    assert "were lost" in text
    assert len(text) < 700_000


def test_empty_session(tmp_path: Path) -> None:
    text = written(tmp_path, "syscalls", "cpu", "offcpu", rows=0)
    assert "No thread left its CPU" in text
    assert "No samples" in text
    assert "None in what was selected" in text


def test_selection_is_named(tmp_path: Path) -> None:
    with Recording.open(make_session(tmp_path / "x.wb", rows=300)) as rec:
        text = report(rec.where(comm="bash"), tmp_path / "x.html", title="<b>T</b>").read_text()
    assert "<dt>selection</dt>" in text
    assert "&lt;b&gt;T&lt;/b&gt;" in text
    assert "<b>T" not in text


@pytest.mark.parametrize(
    ("command", "title"),
    [
        (["/opt/app/run", "demo", "--seconds", "5"], "cpu: run demo"),
        (["sh", "a b", "-x", "y"], "cpu: sh &#x27;a b&#x27;"),
    ],
)
def test_the_title_is_short(tmp_path: Path, command: list[str], title: str) -> None:
    with Recording.open(make_session(tmp_path / "x.wb", kinds=("cpu",), rows=30)) as rec:
        rec.manifest.target["command"] = command  # type: ignore[index]
        text = report(rec, tmp_path / "x.html").read_text()
    assert f"<h1>{title}</h1>" in text


def test_problems_are_told(tmp_path: Path) -> None:
    with Recording.open(make_session(tmp_path / "x.wb", rows=30)) as rec:
        rec._store.manifest = replace(rec.manifest, problems=("<b>one frame</b> has no name",))
        text = report(rec, tmp_path / "x.html").read_text()
    assert "&lt;b&gt;one frame&lt;/b&gt; has no name" in text


def test_imported_profiles(tmp_path: Path) -> None:
    made = reading.session(b"main;work 5\nmain 2\n", tmp_path / "a.wb")
    text = report(made, tmp_path / "x.html").read_text()
    assert "<h1>cpu: a.in (folded)</h1>" in text
    assert "<dt>imported</dt><dd>a.in (folded)</dd>" in text
    assert titles(text) == ["In short", "Flamegraph: cpu", "Hot spots: cpu"]
    for nothing in ("target", "host", "when", "duration", "Kernel", "Losses", "Processes"):
        assert f"<dt>{nothing}</dt>" not in text
    assert "Imported with" in text
    kernel = reading.session(b"main;work 5\nmain;vfs_read_[k] 5\n", tmp_path / "b.wb")
    assert "50.0% of the samples were in the kernel" in report(kernel, tmp_path / "y").read_text()
