"""What the recorder counted, as metrics: events, losses by reason, the cost of its programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from workbench.formats.otlp.metrics import points
from workbench.formats.otlp.metrics.metric import Metric, series_attributes

if TYPE_CHECKING:
    from workbench.formats.otlp.lives import People
    from workbench.recording import Recording


def recorder_metrics(rec: Recording, people: People) -> Iterator[Metric]:
    """Yield what the recorder counted: events, losses by reason, and the cost of programs."""
    import polars as pl

    losses = [
        (entry["kind"], entry["cpu"], reason, min(count, 2**63 - 1))
        for entry in rec.manifest.losses
        for reason, count in (("", entry["produced"]), *entry["dropped"].items())
    ]
    time = people.end
    for name, meaning, rows in (
        ("produced", "events that the programs made", [r for r in losses if not r[2]]),
        ("dropped", "events that were lost", [r for r in losses if r[2]]),
    ):
        if not rows:
            continue
        kinds = {"kind": pl.String, "cpu": pl.Int64, "reason": pl.String, "value": pl.Int64}
        frame = pl.DataFrame(rows, schema=kinds, orient="row")
        by = {"kind": "workbench.kind", "cpu": "cpu.logical_number", "reason": "workbench.reason"}
        shown = series_attributes(points.NUMBER_ATTRIBUTE, frame, by)
        begin, end = (np.full(frame.height, t) for t in (people.start, time))
        made = points.numbers(shown, begin, end, frame["value"].to_numpy())
        yield Metric(f"workbench.events.{name}", "{event}", meaning, "sum", made)
    costs = [
        (entry["kind"], entry["program"], float(entry["cpu_share"]))
        for entry in rec.manifest.overhead
        if entry.get("cpu_share") is not None
    ]
    if costs:
        frame = pl.DataFrame(costs, schema=["kind", "program", "value"], orient="row")
        by = {"kind": "workbench.kind", "program": "workbench.program"}
        shown = series_attributes(points.NUMBER_ATTRIBUTE, frame, by)
        zeros, end = np.zeros(frame.height, np.int64), np.full(frame.height, time)
        made = points.numbers(shown, zeros, end, frame["value"].to_numpy())
        yield Metric("workbench.overhead.cpu", "1", "share of a CPU of a program", "gauge", made)
