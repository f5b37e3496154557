"""The bench of pprof runs where no capture can."""

from __future__ import annotations

from benches import pprof
from benches.goals import goals
from benches.harness import Plan


def test_bench_runs():
    result = pprof.run(Plan(events=2000))
    assert [row["name"] for row in result.rows] == [pprof.FEW, pprof.OWN]
    for row in result.rows:
        assert set(result.columns) <= set(row)
        assert row["export"] > 0
    goal = goals({"pprof": result})[-1]
    assert "pprof" in goal.text
    assert goal.value is None  # so few samples do not tell
    result.rows[0]["samples"] = 1 << 20
    assert goals({"pprof": result})[-1].value == result.rows[0]["export"]
