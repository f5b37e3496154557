from __future__ import annotations

from collections import Counter

import polars as pl
import pytest
from synthetic import make_session

from workbench.export_panel import choices as module
from workbench.export_panel.choices import choices
from workbench.recording import Recording


@pytest.fixture
def rec(tmp_path):
    return Recording.open(make_session(tmp_path / "s.wb", rows=500))


def events(rec):
    rows = [rec[kind].polars().select("pid", pl.col("comm").cast(pl.String)) for kind in rec.kinds]
    return [row for frame in rows for row in frame.iter_rows()]


def test_the_busiest_come_first(rec):
    found = choices(rec)
    pids, comms = Counter(p for p, _ in events(rec)), Counter(c for _, c in events(rec))
    assert {value for _, value in found.pids} == set(map(str, pids))
    assert set(found.comms) == set(comms)
    counts = [pids[int(value)] for _, value in found.pids]
    assert counts == sorted(counts, reverse=True)
    assert comms[found.comms[0]] == max(comms.values())
    usual = Counter(c for p, c in events(rec) if str(p) == found.pids[0][1])
    assert found.pids[0][0].split("  ")[1] in {
        c for c, n in usual.items() if n == max(usual.values())
    }


def test_a_selection_and_the_length_are_honoured(rec, monkeypatch):
    part = choices(rec.where(pid=1000))
    assert [value for _, value in part.pids] == ["1000"]
    assert choices(rec.where(pid=4_000_000)).pids == ()
    monkeypatch.setattr(module, "MOST", 2)
    assert choices(rec).pids == choices(rec).pids[:2] != ()
    assert len(choices(rec).comms) == 2
