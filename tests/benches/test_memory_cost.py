"""The bench of what watching malloc costs: small real runs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))

from benches import memory_cost  # noqa: E402
from benches.harness import BenchError, Plan  # noqa: E402


@pytest.fixture
def program(tmp_path, monkeypatch):
    monkeypatch.setattr(memory_cost, "FAST", 20_000)
    monkeypatch.setattr(memory_cost, "SLOW", 2_000)
    return memory_cost.compiled(tmp_path)


def test_the_program_tells_what_a_pair_took(program, tmp_path):
    assert memory_cost._bare(program, tmp_path)["ns_per_pair"] > 0
    assert not (tmp_path / "told").exists()


def test_a_program_that_tells_nothing(tmp_path):
    with pytest.raises(BenchError, match="did not end well"):
        memory_cost._told(tmp_path / "told")


@pytest.mark.kernel
@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("way", [memory_cost._command, memory_cost._attached])
def test_events_are_those_of_the_pairs(program, tmp_path, way):
    told = way(0)(program, tmp_path)
    pairs = memory_cost.SLOW
    # A command is seen from its beginning: 10,000 pairs more.
    pairs += 10_000 if way is memory_cost._command else 0
    assert told["dropped"] == 0
    # The first block of each of 1000 places is freed without having been seen, or never was.
    assert 2 * pairs - 1000 <= told["events"] < 2 * pairs + 100
    assert told["ns_per_pair"] > 0


def test_a_tool_that_does_not_begin(program, tmp_path):
    with pytest.raises(BenchError, match="does not begin"):
        memory_cost._beside(["false"], {})(program, tmp_path)
    with pytest.raises(BenchError, match="not installed"):
        memory_cost._beside(["no-such-tool"], {})(program, tmp_path)


def test_a_round_without_tools_has_a_row_for_each(monkeypatch):
    def refuse(*_options):
        def measure(program, folder):
            raise BenchError("not here")

        return measure

    for name in ("_command", "_attached", "_memleak"):
        monkeypatch.setattr(memory_cost, name, refuse)
    monkeypatch.setattr(memory_cost, "_bpftrace", refuse())
    monkeypatch.setattr(memory_cost, "FAST", 1000)
    result = memory_cost.run(Plan(rounds=1))
    assert result.rows[0]["name"] == memory_cost.BARE
    assert result.rows[0]["times"] == 1
    assert {row["note"] for row in result.rows[1:]} == {"not here"}
