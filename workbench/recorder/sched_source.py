"""Runs of threads, and those that are under way when the capture ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.event_texts import OFF_STATES, RUN_CAUSES
from workbench.recorder.open_events import OpenEvents

if TYPE_CHECKING:
    from numpy.typing import NDArray

QUEUED, RUNNING = 2, 3  # enum phase
_NEVER_LEFT = OFF_STATES.index("none")


class SchedSource(OpenEvents):
    """The kind ``sched``."""

    held_in = ("slots", "slot")

    def _open(self, entries: NDArray[Any], now: int, min_ns: int) -> tuple[NDArray[Any]]:
        return (open_runs(entries, self.layout.dtype, now, min_ns),)


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
