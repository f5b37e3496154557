"""Ratios between the workbench and its peers, and the goals that the project has set itself.

They are reported, never asserted: how fast a machine is, and what else it does, is no bug.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benches import decode, drain, first_event

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benches.harness import Result

PEERS = (drain.BCC_DEFAULT, drain.BCC_BEST, drain.BCC_RING, drain.BPFTRACE, drain.BPFTRACE_POLARS)


@dataclass(frozen=True)
class Goal:
    """A goal and how far it was reached; ``value`` is None when it was not measured."""

    text: str
    goal: float
    value: float | None
    at_least: bool = True

    @property
    def reached(self) -> bool | None:
        """Whether it was reached, None when it was not measured."""
        if self.value is None:
            return None
        return self.value >= self.goal if self.at_least else self.value <= self.goal


class Figures:
    """Cells of the results by bench, row and column."""

    def __init__(self, results: Mapping[str, Result]) -> None:
        self._cells = {
            (bench, row["name"], key): value
            for bench, result in results.items()
            for row in result.rows
            for key, value in row.items()
        }

    def get(self, bench: str, row: str, key: str) -> Any:
        """The value, or None."""
        return self._cells.get((bench, row, key))

    def ratio(self, bench: str, row: str, other: str, key: str) -> float | None:
        """How many times the value of ``other`` that of ``row`` is."""
        a, b = self.get(bench, row, key), self.get(bench, other, key)
        return a / b if a is not None and b else None


def ratios(results: Mapping[str, Result]) -> dict[str, dict[str, float | None]]:
    """The workbench against each peer, per bench; above 1 the workbench is better."""
    figures = Figures(results)
    found: dict[str, dict[str, float | None]] = {}
    for bench in ("drain", "drain-busy"):
        for key, text in (
            ("delivered_per_s", "events delivered per second"),
            ("delivered_per_cpu_s", "events delivered per second of consumer CPU"),
            ("calls_per_s", "calls that the traced program makes"),
        ):
            found[f"{bench}: {text}"] = {
                peer: figures.ratio(bench, drain.WORKBENCH, peer, key) for peer in PEERS
            }
    found["first-event: time to the first event"] = {
        peer: figures.ratio("first-event", peer, first_event.WORKBENCH, "total")
        for peer in (first_event.BCC, first_event.BPFTRACE)
    }
    found["decode: time per event"] = {
        peer: figures.ratio("decode", peer, decode.FIXED, "ns_per_event")
        for peer in (decode.CAST, decode.FRAME)
    }
    kept = {k: {p: v for p, v in row.items() if v is not None} for k, row in found.items()}
    return {text: row for text, row in kept.items() if row}


def goals(results: Mapping[str, Result]) -> list[Goal]:
    """The goals of the issue and the design."""
    figures = Figures(results)

    def best(*values: float | None) -> float | None:
        return max((v for v in values if v is not None), default=None)

    lossless = [
        figures.get(bench, drain.WORKBENCH, "delivered_per_s")
        for bench in ("drain", "drain-busy")
        if not figures.get(bench, drain.WORKBENCH, "dropped_share")
    ]

    def times(peer: str) -> float | None:
        return figures.ratio("drain", drain.WORKBENCH, peer, "delivered_per_s")

    def busy(peer: str) -> float | None:
        return figures.ratio("drain-busy", drain.WORKBENCH, peer, "delivered_per_s")

    recorder = figures.get("drain", drain.WORKBENCH, "consumer_cpu")
    slowed = figures.get("drain", drain.WORKBENCH, "slowed_count")
    first = figures.get("first-event", first_event.WORKBENCH, "total")
    return [
        Goal("events/s, nothing lost, where the machine makes them", 2e6, best(*lossless)),
        Goal("× BCC's default callbacks, delivered", 20, times(drain.BCC_DEFAULT)),
        Goal(
            "× BCC's best setting, delivered", 3, _smallest(times, drain.BCC_BEST, drain.BCC_RING)
        ),
        Goal("× BCC's default callbacks, with a dd on every CPU", 20, busy(drain.BCC_DEFAULT)),
        Goal(
            "× BCC's best setting, with a dd on every CPU",
            3,
            _smallest(busy, drain.BCC_BEST, drain.BCC_RING),
        ),
        Goal("× bpftrace into a CSV reader, delivered", 10, times(drain.BPFTRACE)),
        Goal("of a core for the recorder, Arrow and disk included", 0.25, recorder, False),
        Goal("× slower traced program than with count only", 1.25, slowed, False),
        Goal("s to the first event in a dataframe", 0.3, first, False),
    ]


def _smallest(times: Any, *peers: str) -> float | None:
    return min((v for v in map(times, peers) if v is not None), default=None)
