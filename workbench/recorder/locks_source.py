"""Waits for locks, and those that last still when the capture ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.probe.maps import rows
from workbench.recorder.stack_source import StackSource
from workbench.recorder.stack_words import Samples
from workbench.recorder.tables import EventSource
from workbench.schema import LOCK_EVENTS, STACK_STATUSES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from workbench.kinds import CaptureKind
    from workbench.recorder.processes import ProcessTable
    from workbench.recorder.source import Setup

_KERNEL = "contention_begin"
_WAIT = LOCK_EVENTS.index("wait")


class LocksSource(EventSource):
    """The kind ``locks``, without stacks."""

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
        self._untold = bool(parameters["kernel"]) and _KERNEL not in self.object.programs

    def finish(self, processes: ProcessTable, now: int) -> list[tuple[str, Any]]:
        """Drain, and report the threads that wait still: some may do so for ever."""
        found = self.batches(processes, now)
        _, values = self.object.maps["calls"].items()
        calls = rows(values, self.object.layout("call").dtype)
        records = open_waits(calls, self.layout.dtype, now - self._offset, self._min_ns)
        if len(records):
            processes.see(records["pid"], records["tid"], now)
            self.add(records["cpu"])
            found += self._hand_over(records)
        return found + self._rest(processes, now)

    def _hand_over(self, records: NDArray[Any]) -> list[tuple[str, Any]]:
        return self._convert(None, records)

    def _rest(self, _processes: ProcessTable, _now: int) -> list[tuple[str, Any]]:
        return []

    def problems(self) -> list[str]:
        """Say so where the kernel has no tracepoints for its own locks."""
        text = "locks: this kernel does not tell of its own locks (contention_begin, Linux 5.19)."
        return super().problems() + ([text] if self._untold else [])


class StackLocksSource(LocksSource, StackSource):
    """The kind ``locks``, with stacks; waits that last still have none."""

    def _hand_over(self, records: NDArray[Any]) -> list[tuple[str, Any]]:
        records["stack_status"] = STACK_STATUSES.index("kernel_only")
        self._worker.submit(Samples(self.table, self._make_batch, records, np.empty(0, np.uint64)))
        return []

    def _rest(self, processes: ProcessTable, now: int) -> list[tuple[str, Any]]:
        return StackSource.finish(self, processes, now)


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
