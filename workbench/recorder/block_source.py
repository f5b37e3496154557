"""Block requests: those whose end was not seen are lost, and counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.probe.maps import rows
from workbench.recorder.tables import AggregateSource, EventSource

if TYPE_CHECKING:
    from workbench.recorder.source import Source

UNSEEN = "unseen"


class BlockSource(EventSource):
    """The kind ``block``, one event per request."""

    def losses(self, *, final: bool = False) -> list[dict[str, Any]]:
        """Rows for the manifest; at the end the requests that are still open are lost."""
        found = super().losses(final=final)
        return with_open(self, found) if final else found


class BlockAggregateSource(AggregateSource):
    """The kind ``block``, counted in the kernel."""

    def losses(self, *, final: bool = False) -> list[dict[str, Any]]:
        """Rows for the manifest; at the end the requests that are still open are lost."""
        found = super().losses(final=final)
        return with_open(self, found) if final else found


def with_open(source: Source, losses: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add requests that were begun and whose end was not seen, by the CPU where they began."""
    _, values = source.object.maps["requests"].items()
    words = rows(values, source.object.layout("pending").dtype)["event"]
    events = np.ascontiguousarray(words).view(source.layout.dtype).reshape(-1)
    found = {row["cpu"]: row for row in losses}
    cpus, counts = np.unique(events["cpu"], return_counts=True)
    for cpu, count in zip(cpus.tolist(), counts.tolist(), strict=True):
        none = {"kind": source.kind, "cpu": cpu, "produced": 0, "delivered": 0, "dropped": {}}
        row = found.setdefault(cpu, none)
        row["produced"] += count
        row["dropped"][UNSEEN] = row["dropped"].get(UNSEEN, 0) + count
    return [found[cpu] for cpu in sorted(found)]
