"""Ratios between the workbench and its peers, and the goals that the project has set itself.

They are reported, never asserted: how fast a machine is, and what else it does, is no bug.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benches import (
    decode,
    drain,
    first_event,
    otlp_encode,
    otlp_send,
    pprof,
    programs_and_maps,
    stacks_complete,
    stacks_cost,
    stacks_start,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benches.harness import Result

RATES = {
    "entry": "one hook, one dd",
    "entry-busy": "one hook, a dd on every CPU",
    "drain": "syscalls, one dd",
    "drain-busy": "syscalls, a dd on every CPU",
}
MAX_INCOMPLETE = 0.005
MAX_BPF_CPU = {99: 0.003, 999: 0.02}
"""Share of a core by rate."""
SENT = {
    "gRPC": otlp_send.SDK.format("gRPC"),
    "HTTP": otlp_send.SDK.format("HTTP"),
    "JSON": otlp_send.SDK.format("HTTP"),
}
"""What a session that is sent is compared with; the SDK sends no JSON."""
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
    for bench in RATES:
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
    for own, peers in (
        (otlp_encode.SPANS, (otlp_encode.SDK_SPANS, otlp_encode.CLASS_SPANS)),
        (otlp_encode.FOUR, (otlp_encode.SDK_FOUR,)),
        (otlp_encode.POINTS, (otlp_encode.SDK_POINTS,)),
        (otlp_encode.MEASURED, (otlp_encode.SDK_MEASURED,)),
        (otlp_encode.SAMPLES, (otlp_encode.CLASS_SAMPLES,)),
        (otlp_encode.JSON_SPANS, (otlp_encode.SDK_JSON_SPANS,)),
        (otlp_encode.JSON_POINTS, (otlp_encode.SDK_JSON_POINTS,)),
        (otlp_encode.JSON_SAMPLES, (otlp_encode.CLASS_JSON_SAMPLES,)),
    ):
        found[f"otlp-encode: a second ({own})"] = {
            peer: figures.ratio("otlp-encode", own, peer, "per_s") for peer in peers
        }
    for protocol, peer in SENT.items():
        own = otlp_send.SESSION.format(protocol)
        found[f"otlp-send: encoded and sent ({own})"] = {
            peer: figures.ratio("otlp-send", own, peer, "spans_per_s")
        }
    found["decode: time per event"] = {
        peer: figures.ratio("decode", peer, decode.FIXED, "ns_per_event")
        for peer in (decode.CAST, decode.FRAME)
    }
    cell = {
        peer: figures.ratio("entry", drain.CELL, peer, "delivered_per_s")
        for peer in (drain.BCC_DEFAULT, drain.BCC_BEST, drain.BCC_RING, drain.BPFTRACE)
    }
    found["entry: events delivered per second by a cell"] = cell
    found |= _of_programs(figures)
    kept = {k: {p: v for p, v in row.items() if v is not None} for k, row in found.items()}
    return {text: row for text, row in kept.items() if row}


def _of_programs(figures: Figures) -> dict[str, dict[str, float | None]]:
    """Ratios of loading and attaching, and of maps."""
    made = programs_and_maps
    found: dict[str, dict[str, float | None]] = {}
    for own in (made.WORKBENCH, made.CELL):
        for step in ("load", "attach", "detach", "total"):
            found[f"attach: time, {step} ({own})"] = {
                peer: figures.ratio("attach", peer, own, step) for peer in (made.BCC, made.BPFTRACE)
            }
    for way, text in (("write", "written"), ("read", "read into a dataframe")):
        for key, per in ((f"{way}_per_s", "second"), (f"{way}_per_cpu_s", "second of CPU")):
            found[f"maps: entries {text} per {per}"] = {
                peer: figures.ratio("maps", made.WORKBENCH, peer, key)
                for peer in (made.BCC_LOOP, made.BCC_BATCH, made.BPFTOOL)
            }
    return found


def goals(results: Mapping[str, Result]) -> list[Goal]:
    """The goals of the issue and the design."""
    figures = Figures(results)

    def times(bench: str, *peers: str) -> float | None:
        found = (figures.ratio(bench, drain.WORKBENCH, p, "delivered_per_s") for p in peers)
        return min((v for v in found if v is not None), default=None)

    best = (drain.BCC_BEST, drain.BCC_RING)
    lossless = [
        (figures.get(bench, drain.WORKBENCH, "delivered_per_s") or 0.0, bench)
        for bench in RATES
        if not figures.get(bench, drain.WORKBENCH, "dropped_share")
    ]
    rate, bench = max(lossless, default=(0.0, "none"))
    found = [Goal("events/s, nothing lost, where the machine makes them", 2e6, rate or None)]
    cpu = figures.get(bench, drain.WORKBENCH, "consumer_cpu")
    found.append(Goal(f"of a core for the recorder then ({bench})", 0.25, cpu, False))
    for bench, text in RATES.items():
        default = times(bench, drain.BCC_DEFAULT)
        found += [
            Goal(f"× BCC's default callbacks, {text}", 20, default),
            Goal(f"× BCC's best setting, {text}", 3, times(bench, *best)),
        ]
    first = figures.get("first-event", first_event.WORKBENCH, "total")
    slowed = figures.get("drain", drain.WORKBENCH, "slowed_count")
    return [
        *found,
        Goal("× bpftrace into a CSV reader, delivered", 10, times("drain", drain.BPFTRACE)),
        Goal("× slower traced program than with count only", 1.25, slowed, False),
        Goal("s to the first event in a dataframe", 0.3, first, False),
        *(
            Goal(
                f"× OpenTelemetry's SDK ({own})",
                25,
                figures.ratio("otlp-encode", own, peer, "per_s"),
            )
            for own, peer in (
                (otlp_encode.SPANS, otlp_encode.SDK_SPANS),
                (otlp_encode.POINTS, otlp_encode.SDK_POINTS),
            )
        ),
        *(
            Goal(
                f"× OpenTelemetry's exporter, encoded and sent ({protocol})",
                25,
                figures.ratio("otlp-send", otlp_send.SESSION.format(protocol), peer, "spans_per_s"),
            )
            for protocol, peer in SENT.items()
            if protocol != "JSON"
        ),
        *_stack_goals(results, figures),
        Goal("s to write a million samples as pprof", 2.0, _pprof(results), False),
    ]


def _pprof(results: Mapping[str, Result]) -> float | None:
    """Seconds to write a million samples, where that many were written."""
    for row in results["pprof"].rows if "pprof" in results else []:
        if row["name"] == pprof.FEW and row["samples"] >= 1_000_000:
            return float(row["export"])
    return None


def _stack_goals(results: Mapping[str, Result], figures: Figures) -> list[Goal]:
    """The goals of whole stacks; the worst program counts."""
    found = []
    rows = results["stacks-complete"].rows if "stacks-complete" in results else []
    for state in stacks_complete.STATES:
        shares = [
            (row["whole"], row["name"])
            for row in rows
            if row["state"] == state and row.get("whole") is not None
        ]
        whole, name = min(shares, default=(None, "no program"))
        incomplete = None if whole is None else 1 - whole
        text = f"of the stacks incomplete, {state} (worst: {name})"
        found.append(Goal(text, MAX_INCOMPLETE, incomplete, False))
    for hz, share in MAX_BPF_CPU.items():
        cost = figures.get("stacks-cost", stacks_cost.workbench_at(hz), "bpf_cpu")
        found.append(Goal(f"of a core for stacks in the kernel, {hz} Hz", share, cost, False))
    for row, how in (
        (stacks_start.PREPARED, "prepared"),
        (stacks_start.WORKBENCH, "first capture"),
    ):
        ready = figures.get("stacks-start", row, "total")
        text = f"s until stacks of a process are recorded, {how}"
        found.append(Goal(text, 0.3, ready, False))
    return found
