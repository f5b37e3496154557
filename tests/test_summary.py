from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest
import reading
import synthetic

from workbench.recording import Recording
from workbench.store.manifest import Manifest
from workbench.summary import imported_from, losses_frame, lost_share, overhead_frame, time_known

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def rec(tmp_path):
    return Recording.open(synthetic.make_session(tmp_path / "a.wb", rows=100))


def test_repr_is_short_and_says_what_was_lost(rec):
    text = repr(rec)
    assert len(text.splitlines()) <= 9
    assert "lost: 3.85% of the events" in text
    assert "syscalls 100" in text
    assert "selection: pid = 1" in repr(rec.where(pid=1))


def test_html_is_escaped(rec):
    changed = replace(rec.manifest, reason=HOSTILE, target={"command": [HOSTILE]})
    rec._store.manifest = changed
    html = rec._repr_html_()
    assert "<script>" not in html
    assert html.count("&lt;script&gt;") == 2
    assert len(html) < 5000


def test_frames_of_an_empty_manifest():
    manifest = Manifest(kinds={}, start_ns=1)
    assert losses_frame(manifest).height == overhead_frame(manifest).height == 0
    assert lost_share(manifest) == 0.0


def test_losses_by_reason():
    row = {"kind": "cpu", "cpu": 0, "produced": 9, "delivered": 4}
    manifest = Manifest(
        kinds={"cpu": {}},
        start_ns=1,
        losses=(row | {"dropped": {"b": 2}}, row | {"dropped": {"a": (1 << 64) - 1, "b": 1}}),
        overhead=({"kind": "cpu", "program": "p"},),
    )
    frame = losses_frame(manifest)
    assert frame.columns[4:] == ["dropped", "a", "b"]
    assert frame["dropped"].to_list() == [2, (1 << 64) - 1]
    assert frame["a"].dtype == pl.UInt64
    assert overhead_frame(manifest)["ns_per_run"].to_list() == [None]


def test_imported_profiles_name_their_file(tmp_path):
    rec = reading.session(b"main;work 5\n", tmp_path / "a.wb")
    assert imported_from(rec.manifest) == "a.in (folded)"
    assert not time_known(rec.manifest)
    assert "imported: a.in (folded)" in repr(rec)
    assert "start: not known" in repr(rec)
