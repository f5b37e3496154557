"""Waits for locks, and those that last still when the capture ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.event_texts import LOCK_EVENTS, STACK_STATUSES
from workbench.recorder.open_events import OpenEvents
from workbench.recorder.stack_source import StackSource
from workbench.recorder.stack_words import Samples

if TYPE_CHECKING:
    from numpy.typing import NDArray

_KERNEL = "contention_begin"
_WAIT = LOCK_EVENTS.index("wait")


class LocksSource(OpenEvents):
    """The kind ``locks``, without stacks."""

    held_in = ("calls", "call")

    def _open(self, entries: NDArray[Any], now: int, min_ns: int) -> tuple[NDArray[Any]]:
        return (open_waits(entries, self.layout.dtype, now, min_ns),)

    def problems(self) -> list[str]:
        """Say so where the kernel has no tracepoints for its own locks."""
        untold = self._wanted.parameters["kernel"] and _KERNEL not in self.object.programs
        text = "locks: this kernel does not tell of its own locks (contention_begin, Linux 5.19)."
        return super().problems() + ([text] if untold else [])


class StackLocksSource(LocksSource, StackSource):
    """The kind ``locks``, with stacks; waits that last still have none."""

    def _hand_over(self, records: NDArray[Any], *_: Any) -> list[tuple[str, Any]]:
        records["stack_status"] = STACK_STATUSES.index("kernel_only")
        self._worker.submit(Samples(self.table, self._make_batch, records, np.empty(0, np.uint64)))
        return []


def open_waits(calls: NDArray[Any], event: np.dtype[Any], now: int, min_ns: int) -> NDArray[Any]:
    """Return events of the waits that last still.

    Parameters
    ----------
    calls : structured array
        ``struct call`` of ``bpf/locks.bpf.c``.
    event : numpy.dtype
        Of the event.
    now : int
        Time of the boot clock, ns: the end of the waits.
    min_ns : int
        Shorter ones are left out.
    """
    waits = calls[(calls["event"] == _WAIT) & (calls["ts"] + np.uint64(min_ns) <= now)]
    records = np.zeros(len(waits), event)
    for name in ("ts", "lock", "pid", "tid", "owner_tid", "event", "type"):
        records[name] = waits[name]
    records["waited"] = np.uint64(now) - waits["ts"]
    records["open"] = 1
    return records
