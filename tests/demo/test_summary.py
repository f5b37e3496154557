"""The ten lines of the demo, on a synthetic session with a known answer."""

from __future__ import annotations

import pytest
from fake_recording import stacks_of
from synthetic import make_session, truth

from workbench.demo import summary
from workbench.errors import MissingTableError
from workbench.frames.flame import flame_tree
from workbench.session import Session


@pytest.fixture(scope="module")
def session(tmp_path_factory) -> Session:
    return Session.open(make_session(tmp_path_factory.mktemp("summary") / "s.wb", rows=5000))


def test_ten_lines(session):
    lines = summary.summarise(session)
    assert len(lines) == 10
    by_label = {line[:13].strip(): line[14:] for line in lines}
    assert by_label["requests"].startswith("0 in 10.0 s")
    assert by_label["system calls"].startswith("5,000 of ")
    weight = sum(truth(rows=5000).folded().values())
    assert by_label["CPU"].startswith(f"{weight:,} samples")
    assert "200 of 5,200 events (ring_full 200)" in by_label["losses"]
    assert "recorder" in by_label["overhead"]
    assert "read ETIMEDOUT" in by_label["errors"]


def native(*names: str) -> list[tuple[str, str, str]]:
    return [(name, "/bin/x", "native") for name in names]


def test_shares_of_functions():
    tree = flame_tree(
        stacks_of(
            [
                ("w", native("main", "route", "report", "hash"), 60),
                ("w", native("main", "route", "report", "sort", "sort"), 20),
                ("w", native("main", "route", "chatty"), 15),
                ("v", native("other"), 5),
            ]
        )
    )
    assert summary.hottest(tree)[:2] == [("hash", 0.6), ("sort", 0.2)]
    assert summary.inclusive(tree, "route") == [("report", 0.8), ("chatty", 0.15)]
    assert summary.inclusive(tree, "nowhere") == []


def test_session_of_another_kind_is_refused(tmp_path):
    path = make_session(tmp_path / "s.wb", kinds=("syscalls",), rows=100)
    with pytest.raises(MissingTableError):
        summary.summarise(Session.open(path))
