"""Sources that fill tables: events as they are, and counts made in the kernel."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.batch import Batcher, column
from workbench.probe.layout import arrow_schema, event_layout
from workbench.probe.maps import rows
from workbench.probe.perf_event import online_cpus
from workbench.recorder.source import Setup, Source, ring_count
from workbench.schema import Column, arrow_field

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from workbench.kinds import CaptureKind
    from workbench.recorder.processes import ProcessTable

MAX_ROWS = 1 << 16
SNAPSHOT_NS = 1_000_000_000
MAX_BUFFERS = 1 << 28
"""Bytes of all buffers of a kind together, by default."""


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
        path = kind.object_for(parameters)
        super().__init__(kind.name, setup, settings, ring_bytes, path=path)
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

    def process_started(self, pid: int, parent: int = 0) -> None:
        """A process of the target was found or has called execve, or `parent` has forked it."""

    def process_ended(self, pid: int) -> None:
        """A process of the target has ended."""

    def finish(self, processes: ProcessTable, now: int) -> list[tuple[str, Any]]:
        """Return the last batches, after detaching."""
        return self.batches(processes, now)

    def problems(self) -> list[str]:
        """Return what went wrong without ending the capture, for people."""
        return []


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
            arrays += [
                column(data[field.name], self.schema.field(field.name).type)
                for field in layout.fields
            ]
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
    make = source_class(kind, parameters)
    return make(kind, setup, settings, ring_bytes or default_ring(kind.ring_bytes), parameters)


def source_class(kind: CaptureKind, parameters: Mapping[str, Any]) -> type[EventSource]:
    """Return what reads a kind; symbolizing takes imports that other kinds start faster without."""
    if kind.table(parameters) != kind.name:
        return AggregateSource
    usual = "workbench.recorder.stack_source:StackSource" if kind.with_stacks(parameters) else ""
    module, _, name = (kind.source or usual).partition(":")
    if not module:
        return EventSource
    found: type[EventSource] = getattr(importlib.import_module(module), name)
    return found


def default_ring(wanted: int) -> int:
    """Size of each CPU's buffer: what the kind wants, less on machines with many CPUs."""
    return min(wanted, MAX_BUFFERS // ring_count(len(online_cpus())))
