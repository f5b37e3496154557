"""The program probed.c, and what tests of own probes do with it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import polars as pl

import workbench as wb
from workbench.own_probes import checked
from workbench.recorder.probe_source import planned

TESTS = Path(__file__).parent
SOURCE = (TESTS / "probed.c").read_text()
OPTIONS = ("-O1", "-g", "-pthread", "-include", str(TESTS / "sdt.h"))


LEFT_OUT = re.compile(r"left out ([\d,]+) runs")


def missed(session: Any) -> int:
    """Return how many runs the kernel left out, of the target or of anybody else.

    Programs on tracepoints do not run while a CPU does something with a BPF map for anybody
    (``bpf_prog_active``, kernel/trace/bpf_trace.c, ``trace_call_bpf``).
    """
    found = (LEFT_OUT.search(text) for text in session.manifest.problems)
    return sum(int(each[1].replace(",", "")) for each in found if each)


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
    assert not [text for text in session.manifest.problems if not LEFT_OUT.search(text)]
    if "count" not in frame.columns:
        assert mine["produced"].sum() == mine["delivered"].sum() == frame.height
    return frame.sort("ts", maintain_order=True)  # what ran on two CPUs comes from two buffers


def last(session, name=""):
    """The groups at the end."""
    frame = session[name or session.kinds[0]].polars()
    return frame.filter(pl.col("ts") == pl.col("ts").max()).drop("ts")
