"""The benches of programs and maps: their ratios on made-up figures, and small real runs."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))

from benches import goals  # noqa: E402
from benches import programs_and_maps as bench  # noqa: E402
from benches.harness import Plan, Result  # noqa: E402

PLAN = replace(Plan.quick(), rounds=1)


def test_ratios_are_of_times_and_of_rates():
    attach = Result("attach", "", {}, [
        {"name": bench.WORKBENCH, "load": 0.1, "attach": 0.2, "detach": 1.0, "total": 1.3},
        {"name": bench.BCC, "load": 0.5, "attach": 0.4, "detach": 1.5, "total": 2.4},
        {"name": bench.BPFTRACE, "total": 3.9, "all": 3.9},
    ])  # fmt: skip
    maps = Result("maps", "", {}, [
        {"name": bench.WORKBENCH, "write_per_s": 8e6, "read_per_s": 4e6},
        {"name": bench.BCC_LOOP, "write_per_s": 4e5, "read_per_s": 1e5},
        {"name": bench.BPFTOOL, "write_per_s": None, "read_per_s": 2e5},
    ])  # fmt: skip
    found = goals.ratios({"attach": attach, "maps": maps})
    assert found["attach: time, load (workbench)"] == {bench.BCC: pytest.approx(5)}
    assert found["attach: time, total (workbench)"][bench.BPFTRACE] == pytest.approx(3)
    assert found["maps: entries written per second"] == {bench.BCC_LOOP: 20}
    read = found["maps: entries read into a dataframe per second"]
    assert read == {bench.BCC_LOOP: 40, bench.BPFTOOL: 20}


@pytest.mark.kernel
@pytest.mark.usefixtures("nothing_left")
@pytest.mark.skipif(shutil.which("clang") is None, reason="clang is not installed")
def test_maps_are_measured(monkeypatch):
    rows = {name: bench.TABLE_ROWS[name] for name in (bench.WORKBENCH, bench.BPFTOOL)}
    monkeypatch.setattr(bench, "TABLE_ROWS", rows)
    own, peer = bench.run_maps(PLAN, 3000).rows  # each has checked what it read
    assert own["note"] == rows[bench.WORKBENCH][1]
    assert own["write_per_s"] == pytest.approx(3000 / own["write"])
    assert own["read_per_s"] == pytest.approx(3000 / own["read"])
    assert peer["read_per_s"] > 0
    assert peer["write_per_s"] is None


@pytest.mark.kernel
@pytest.mark.usefixtures("nothing_left")
@pytest.mark.skipif(shutil.which("clang") is None, reason="clang is not installed")
def test_attaching_is_measured(monkeypatch):
    rows = {bench.WORKBENCH: bench.ATTACH_ROWS[bench.WORKBENCH], "other": ("none", "")}
    monkeypatch.setattr(bench, "ATTACH_ROWS", rows)
    own, other = bench.run_attach(PLAN).rows
    assert own["total"] >= own["load"] + own["attach"] + own["detach"] - 1e-6
    assert "ended with code 1" in other["note"]
    assert "total" not in other


def test_without_a_compiler(monkeypatch):
    def refused(*_):
        raise subprocess.CalledProcessError(1, "clang")

    monkeypatch.setattr(bench, "compiled", refused)
    monkeypatch.setattr(bench, "vmlinux", lambda _: Path())
    result = bench.run_maps(PLAN)
    assert "cannot be compiled" in result.notes[0]
    assert {row["read_per_s"] for row in result.rows} == {None}
