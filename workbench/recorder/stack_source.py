"""Sources whose records end in the addresses of a stack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.probe.layout import arrow_schema
from workbench.recorder.stacks import Samples, StackWorker
from workbench.recorder.tables import EventSource
from workbench.schema import TYPEDEFS, Column, arrow_field

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.recorder.processes import ProcessTable


class StackSource(EventSource):
    """A kind whose records end in the addresses of a stack."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._worker = StackWorker(self.table, self._make_batch)

    def _schema(self) -> Any:
        import pyarrow as pa

        whole = arrow_schema(self.layout)
        kept = [f for f in whole if not f.name.endswith("_depth")]
        for name, typedef in (("stack_id", "wb_stack_id"), ("weight", "wb_weight")):
            m = TYPEDEFS[typedef]
            kept.append(arrow_field(Column(name, m.arrow, m.unit, m.meaning)))
        return pa.schema(kept)

    def _make_batch(self, records: NDArray[Any], stacks: NDArray[np.uint32]) -> Any:
        ones = np.ones(len(records), np.uint32)
        return self._batcher.batch(records, stack_id=stacks, weight=ones)

    def _convert(self, span: Any, records: NDArray[Any]) -> list[tuple[str, Any]]:
        words, counts = span.tails(self.layout.dtype.itemsize)
        copied = records.copy()
        # A perf buffer pads records: the depths say how many addresses there are.
        depths = copied["kernel_depth"].astype(np.int64) + copied["user_depth"]
        if not np.array_equal(depths, counts):
            words = words[
                np.arange(len(words)) - np.repeat(np.cumsum(counts) - counts, counts)
                < np.repeat(depths, counts)
            ]
        self._worker.submit(Samples(copied, words))
        return self._worker.batches()

    def process_started(self, pid: int) -> None:
        """Read its mappings."""
        self._worker.add_process(pid)

    def process_ended(self, pid: int) -> None:
        """Resolve what is open, e.g. code of a JIT whose map file is complete now."""
        self._worker.exited(pid)

    def batches(self, processes: ProcessTable, now: int) -> list[tuple[str, Any]]:
        """Drain; return what the symbolizing thread has finished."""
        return super().batches(processes, now) + self._worker.batches()

    def finish(self, processes: ProcessTable, now: int) -> list[tuple[str, Any]]:
        """Drain, and wait for the symbolizing thread; what it has not finished is not delivered."""
        found = self.batches(processes, now) + self._worker.finish()
        self.delivered -= self._worker.unfinished[: len(self.delivered)]
        return found

    def problems(self) -> list[str]:
        """Return what the symbolizing thread stumbled over."""
        found = []
        if self._worker.failure:
            last = self._worker.failure.strip().splitlines()[-1]
            found.append(f"{self.kind}: some frames have no names, naming them failed: {last}")
        lost = int(self._worker.unfinished.sum())
        if lost:
            found.append(f"{self.kind}: {lost:,} samples were not written: naming took too long.")
        return found
