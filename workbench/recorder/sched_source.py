"""Runs of threads, and those that are under way when the capture ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.probe.maps import rows
from workbench.recorder.tables import EventSource
from workbench.schema import OFF_STATES, RUN_CAUSES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from workbench.kinds import CaptureKind
    from workbench.recorder.processes import ProcessTable
    from workbench.recorder.source import Setup

QUEUED, RUNNING = 2, 3  # enum phase
_NEVER_LEFT = OFF_STATES.index("none")


class SchedSource(EventSource):
    """The kind ``sched``."""

    def __init__(
        self,
        kind: CaptureKind,
        setup: Setup,
        settings: Mapping[str, Any],
        ring_bytes: int,
        parameters: Mapping[str, Any],
    ) -> None:
        super().__init__(kind, setup, settings, ring_bytes, parameters)
        self._min_ns = int(settings["min_ns"])

    def finish(self, processes: ProcessTable, now: int) -> list[tuple[str, Any]]:
        """Drain, and report the threads that run or wait for a CPU still."""
        found = self.batches(processes, now)
        _, values = self.object.maps["slots"].items()
        slots = rows(values, self.object.layout("slot").dtype)
        records = open_runs(slots, self.layout.dtype, now - self._offset, self._min_ns)
        if len(records):
            processes.see(records["pid"], records["tid"], now)
            self.add(records["cpu"])
            found += self._convert(None, records)
        return found


def open_runs(slots: NDArray[Any], event: np.dtype[Any], now: int, min_ns: int) -> NDArray[Any]:
    """Return events of the threads that run, or wait for a CPU.

    Parameters
    ----------
    slots : structured array
        ``struct slot`` of ``bpf/sched.bpf.c``.
    event : numpy.dtype
        Of the event.
    now : int
        Time of the boot clock, ns: the end of their times.
    min_ns : int
        Those that waited less are left out.

    Returns
    -------
    structured array
        Events; those of waiting threads begin now and take no time.
    """
    records = np.ascontiguousarray(slots["event"]).view(event)[:, 0].copy()
    running = slots["phase"] == RUNNING
    # One that has not run since the capture began has no ids in its event yet.
    waiting = (slots["phase"] == QUEUED) & (records["tid"] != 0)
    end = np.uint64(now)
    records["ran"] = np.where(running, end - np.minimum(records["ts"], end), 0)
    ready = np.minimum(slots["ready"], end)
    records["latency"] = np.where(running, records["latency"], end - ready)
    records["ts"] = np.where(running, records["ts"], end)
    records["cpu"] = np.where(running, records["cpu"], slots["last_cpu"])
    records["from_cpu"] = np.where(running, records["from_cpu"], slots["last_cpu"])
    records["state"], records["open"] = _NEVER_LEFT, 1
    unknown = records["cause"] == RUN_CAUSES.index("unknown")
    records["latency"] = np.where(unknown, 0, records["latency"])
    chosen: NDArray[Any] = records[(running | waiting) & (records["latency"] >= min_ns)]
    return chosen
