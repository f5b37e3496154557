"""Sources that fill tables: events as they are, samples with stacks, counts made in the kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.batch import Batcher, column
from workbench.probe.layout import arrow_schema, event_layout
from workbench.probe.maps import rows
from workbench.recorder.source import Setup, Source
from workbench.recorder.stacks import Samples, StackWorker
from workbench.schema import TYPEDEFS, Column, arrow_field

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from workbench.kinds import CaptureKind
    from workbench.recorder.processes import ProcessTable

MAX_ROWS = 1 << 16
SNAPSHOT_NS = 1_000_000_000


class EventSource(Source):
    """A kind whose records are the rows of its table."""

    def __init__(
        self,
        kind: CaptureKind,
        setup: Setup,
        settings: Mapping[str, Any],
        ring_bytes: int,
        parameters: Mapping[str, Any],
    ) -> None:
        super().__init__(kind.name, setup, settings, ring_bytes)
        self.table = kind.table(parameters)
        self.hz = int(parameters.get(kind.clock, 0))
        self._offset = setup.clock_offset
        self.schema = self._schema()
        self._batcher = Batcher(self.layout, self.schema, setup.clock_offset)

    def _schema(self) -> Any:
        return arrow_schema(self.layout)

    def start(self) -> None:
        """Attach."""
        self.attach(self.hz)

    def batches(self, processes: ProcessTable, now: int) -> list[tuple[str, Any]]:
        """Drain; return (table, record batch) pairs."""
        found = []
        for span, records in self.drain():
            processes.see(records["pid"], records["tid"], now)
            found.extend(self._convert(span, records))
        return found

    def _convert(self, _span: Any, records: NDArray[Any]) -> list[tuple[str, Any]]:
        return [
            (self.table, self._batcher.batch(records[at : at + MAX_ROWS]))
            for at in range(0, len(records), MAX_ROWS)
        ]

    def process_started(self, pid: int) -> None:
        """A process of the target was found or has called execve."""

    def process_ended(self, pid: int) -> None:
        """A process of the target has ended."""

    def finish(self, processes: ProcessTable, now: int) -> list[tuple[str, Any]]:
        """Return the last batches, after detaching."""
        return self.batches(processes, now)


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
        """Drain, and wait for the symbolizing thread."""
        return self.batches(processes, now) + self._worker.finish()


class AggregateSource(EventSource):
    """A kind that aggregates in a map; the table gets snapshots of it."""

    def __init__(
        self,
        kind: CaptureKind,
        setup: Setup,
        settings: Mapping[str, Any],
        _ring_bytes: int,
        parameters: Mapping[str, Any],
    ) -> None:
        assert kind.aggregation
        self.aggregation = kind.aggregation
        self._taken = self._count = 0
        super().__init__(kind, setup, settings, 0, parameters)

    def _schema(self) -> Any:
        import pyarrow as pa

        self._key, self._value = (
            event_layout(self.object.btf, name)
            for name in (self.aggregation.key, self.aggregation.value)
        )
        time = arrow_field(Column("ts", "timestamp", "ns", "time of the snapshot, UTC"))
        return pa.schema([time, *arrow_schema(self._key), *arrow_schema(self._value)])

    def snapshot(self, now: int) -> Any:
        """Return the map's content as a record batch; ``now`` is UTC in ns."""
        import pyarrow as pa

        keys, values = self.object.maps[self.aggregation.map].items()
        key, value = rows(keys, self._key.dtype), rows(values, self._value.dtype)
        self._count = int(value[self.aggregation.count].sum())
        arrays = [column(np.full(len(key), now, np.int64), self.schema.field("ts").type)]
        for layout, data in ((self._key, key), (self._value, value)):
            for field in layout.fields:
                arrays.append(column(data[field.name], self.schema.field(field.name).type))
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def batches(self, processes: ProcessTable, now: int) -> list[tuple[str, Any]]:
        """Take a snapshot, once a second."""
        if now - self._taken < SNAPSHOT_NS:
            return []
        self._taken = now
        return self._rows(processes, now)

    def _rows(self, processes: ProcessTable, now: int) -> list[tuple[str, Any]]:
        batch = self.snapshot(now)
        pids = batch.column("pid").to_numpy()
        processes.see(pids, pids, now)
        return [(self.table, batch)] if batch.num_rows else []

    def finish(self, processes: ProcessTable, now: int) -> list[tuple[str, Any]]:
        """Take the last snapshot."""
        return self._rows(processes, now)

    def losses(self, *, final: bool = False) -> list[dict[str, Any]]:
        """Rows for the manifest: the map counts for all CPUs together, the losses per CPU."""
        self.snapshot(0)
        missing = self.produced - self.dropped - self._count
        self.delivered = (self._stats["produced"] - self._stats["dropped"].sum(axis=1)).astype(
            np.int64
        )
        if final and missing > 0:
            self.delivered[int(self.delivered.argmax())] -= missing
        return super().losses(final=final)


def make_source(
    kind: CaptureKind, setup: Setup, parameters: Mapping[str, Any], machine: str, ring_bytes: int
) -> EventSource:
    """Return the loaded source of a kind."""
    settings = kind.settings(parameters, machine)
    make: type[EventSource] = StackSource if kind.stacks else EventSource
    if kind.table(parameters) != kind.name:
        make = AggregateSource
    return make(kind, setup, settings, ring_bytes or kind.ring_bytes, parameters)
