"""The program probed.c, and what tests of own probes do with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

import workbench as wb
from workbench.own_probes import checked
from workbench.recorder.probe_source import planned

TESTS = Path(__file__).parent
SOURCE = (TESTS / "probed.c").read_text()
OPTIONS = ("-O1", "-g", "-pthread", "-include", str(TESTS / "sdt.h"))


def captured(point: str, program: Path, *words: Any, **options: Any) -> Any:
    """Run the program under a probe."""
    return wb.probe(point, command=[str(program), *map(str, words)], **options)


def planned_on(program, kind, function, **options):
    """Plan a probe without loading it: what the recorder does first."""
    return planned(checked("x", {"probe": f"{kind}:{program}:{function}", **options}))


def rows(session, name=""):
    """The table of the only probe, which lost nothing."""
    frame = session[name or session.kinds[0]].polars()
    mine = session.losses.filter(pl.col("kind") == (name or session.kinds[0]))
    assert mine["dropped"].sum() == 0
    assert session.manifest.problems == ()
    if "count" not in frame.columns:
        assert mine["produced"].sum() == mine["delivered"].sum() == frame.height
    return frame


def last(session, name=""):
    """The groups at the end."""
    frame = session[name or session.kinds[0]].polars()
    return frame.filter(pl.col("ts") == pl.col("ts").max()).drop("ts")
