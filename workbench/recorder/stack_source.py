"""Sources whose records end in the words of a stack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.event_texts import STACK_STATUSES
from workbench.probe.layout import arrow_schema
from workbench.probe.support import has_ring_buffer
from workbench.recorder.python_service import SHARED as PYTHON_MAPS
from workbench.recorder.stack_service import ONLY_WALKING, StackService, can_walk
from workbench.recorder.stack_words import Samples, add_python_status, word_counts
from workbench.recorder.tables import EventSource
from workbench.schema import TYPEDEFS, Column, arrow_field

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from workbench.recorder.processes import ProcessTable
    from workbench.recorder.source import KindSetup, Setup


class StackSource(EventSource):
    """A kind whose records end in the words of a stack.

    The first one of a session starts what all of them use, see
    :attr:`workbench.recorder.source.Setup.services`.
    """

    def __init__(self, wanted: KindSetup) -> None:
        setup = wanted.session
        self._target = setup.target
        self._leads = "stacks" not in setup.services
        super().__init__(wanted)
        if self._leads:
            service = StackService(self.object, walks=self._walks, python=self._python)
            setup.services["stacks"] = service
        self._worker: StackService = setup.services["stacks"]
        self._ended = np.zeros((len(self.delivered), len(STACK_STATUSES)), np.int64)

    def _set_up(self, setup: Setup, settings: Mapping[str, Any], watermark: int) -> None:
        self._walks, self._python = can_walk(), has_ring_buffer()
        own = {"wb_tables": int(self._walks)} | ({} if self._python else {"python_stacks": 0})
        super()._set_up(setup, {**settings, **own}, watermark)
        maps = self.object.maps
        missing = ONLY_WALKING if not self._walks else ()
        for name in (*missing, *(PYTHON_MAPS if not self._python else ())):
            maps[name].leave_out()
        if not self._leads:
            for name, other in setup.services["stacks"].shared.items():
                maps[name].share(other)

    def start(self) -> None:
        """Attach, once the tables of what runs are loaded."""
        if self._leads:
            self._worker.prepare(self._target)
        super().start()

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
        return self._batcher.batch(
            records, stack_id=stacks, weight=ones, stack_status=status_column(records)
        )

    def _convert(self, span: Any, records: NDArray[Any]) -> list[tuple[str, Any]]:
        words, counts = span.tails(self.layout.dtype.itemsize)
        copied = records.copy()
        # A perf buffer pads records: the depths say how many words there are.
        wanted = word_counts(copied)
        if not np.array_equal(wanted, counts):
            words = words[
                np.arange(len(words)) - np.repeat(np.cumsum(counts) - counts, counts)
                < np.repeat(wanted, counts)
            ]
        add_python_status(copied, words)
        np.add.at(self._ended, (copied["cpu"], _statuses(copied)), 1)
        self._worker.submit(Samples(self.table, self._make_batch, copied, words))
        return self._worker.batches()

    def process_started(self, pid: int, parent: int = 0) -> None:
        """Read its mappings and load the tables of its files."""
        if self._leads:
            self._worker.process_started(pid, parent)

    def process_ended(self, pid: int) -> None:
        """Resolve what is open, e.g. code of a JIT whose map file is complete now."""
        if self._leads:
            self._worker.process_ended(pid)

    def batches(self, processes: ProcessTable, now: int) -> list[tuple[str, Any]]:
        """Drain; return what the symbolizing thread has finished."""
        return super().batches(processes, now) + self._worker.batches()

    def finish(self, processes: ProcessTable, now: int) -> list[tuple[str, Any]]:
        """Drain, and wait for the symbolizing thread; what it has not finished is not delivered."""
        found = self.batches(processes, now) + self._worker.finish()
        self.delivered -= self._worker.unfinished(self.table)[: len(self.delivered)]
        return found

    def losses(self, *, final: bool = False) -> list[dict[str, Any]]:
        """Rows for the manifest, with the statuses of the stacks."""
        rows = super().losses(final=final)
        for row in rows:
            counts = zip(STACK_STATUSES, self._ended[row["cpu"]].tolist(), strict=True)
            row["stacks"] = {status: n for status, n in counts if n}
        return rows

    def problems(self) -> list[str]:
        """Return what the symbolizing thread stumbled over."""
        found = self._worker.problems() if self._leads else []
        lost = int(self._worker.unfinished(self.table).sum())
        if lost:
            found.append(f"{self.kind}: {lost:,} samples were not written: naming took too long.")
        return found

    def close(self) -> None:
        """Detach, unload, end the thread. Safe to call twice."""
        worker = getattr(self, "_worker", None)
        if worker is not None and self._leads:
            worker.close()
        super().close()


def _statuses(records: NDArray[Any]) -> NDArray[np.int8]:
    statuses: NDArray[np.uint16] = records["stack_status"]
    return np.minimum(statuses, len(STACK_STATUSES) - 1).astype(np.int8)


def status_column(records: NDArray[Any]) -> Any:
    """Return the statuses of records with a stack as a pyarrow dictionary array."""
    import pyarrow as pa

    codes = pa.array(_statuses(records), pa.int8())
    return pa.DictionaryArray.from_arrays(codes, pa.array(STACK_STATUSES))
