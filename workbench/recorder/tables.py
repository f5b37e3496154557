"""Sources that fill tables: events as they are, and counts made in the kernel."""

from __future__ import annotations

import importlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.batch import Batcher, column
from workbench.errors import ParameterError, UnsupportedKernelError
from workbench.probe.layout import arrow_schema, event_layout
from workbench.probe.maps import rows
from workbench.probe.perf_event import online_cpus
from workbench.probe.tracepoints import argument_count
from workbench.recorder.encoders import Encoders
from workbench.recorder.source import KindSetup, Setup, Source, ring_count
from workbench.schema import Column, arrow_field

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from workbench.kinds import CaptureKind
    from workbench.recorder.processes import ProcessTable

MAX_ROWS = 1 << 16
STACK_SOURCE = "workbench.recorder.stack_source:StackSource"
SNAPSHOT_NS = 1_000_000_000
MAX_BUFFERS = 1 << 28
"""Bytes of all buffers of a kind together, by default."""


class EventSource(Source):
    """A kind whose records are the rows of its table."""

    def __init__(self, wanted: KindSetup) -> None:
        kind, setup, parameters = wanted.kind, wanted.session, wanted.parameters
        path = kind.object_for(parameters)
        self._wanted = wanted
        self._optional = kind.optional
        off = [names for switch, names in kind.switches.items() if not parameters[switch]]
        self._left_out = {name for names in off for name in names}
        super().__init__(kind.name, setup, wanted.settings, wanted.ring_bytes, path=path)
        self.table = kind.table(parameters)
        self.hz = int(parameters.get(kind.clock, 0))
        self._offset = setup.clock_offset
        self.schema = self._schema()
        self._encoders = Encoders(self.object)
        self._batcher = Batcher(
            self.layout, self.schema, setup.clock_offset, self._encoders.by_typedef
        )

    def _set_up(self, setup: Setup, settings: Mapping[str, Any], watermark: int) -> None:
        super()._set_up(setup, settings, watermark)
        for name, program in list(self.object.programs.items()):
            tracepoint = program.section.removeprefix("tp_btf/")
            missing = tracepoint in self._optional and not argument_count(tracepoint)
            if missing or name in self._left_out:
                self.object.programs.pop(name).leave_out()

    def _schema(self) -> Any:
        return arrow_schema(self.layout)

    def start(self) -> None:
        """Attach."""
        self.attach(self.hz)

    def switch(self, *, on: bool) -> None:  # noqa: ARG002 - of those that can be
        """Attach again, or detach, while it records.

        Raises
        ------
        ParameterError
            Only the user's own probes can be switched.
        """
        raise ParameterError(
            f"The kind {self.kind} cannot be switched off while it records.",
            why="only the user's own probes can",
            advice="Stop this capture, and start one without it.",
        )

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

    def close(self) -> None:
        """Detach, unload, unmap. Safe to call twice."""
        if hasattr(self, "_encoders"):
            self._encoders.close()
        super().close()


class AggregateSource(EventSource):
    """A kind that aggregates in a map; the table gets snapshots of it."""

    def __init__(self, wanted: KindSetup) -> None:
        self.aggregation = wanted.kind.aggregation
        self._taken = self._count = 0
        super().__init__(replace(wanted, ring_bytes=0))

    def _schema(self) -> Any:
        import pyarrow as pa

        assert self.aggregation
        self._key, self._value = (
            event_layout(self.object.btf, name)
            for name in (self.aggregation.key, self.aggregation.value)
        )
        time = arrow_field(Column("ts", "timestamp", "ns", "time of the snapshot, UTC"))
        return pa.schema([time, *arrow_schema(self._key), *arrow_schema(self._value)])

    def snapshot(self, now: int) -> Any:
        """Return the map's content as a record batch; ``now`` is UTC in ns."""
        import pyarrow as pa

        assert self.aggregation
        keys, values = self.object.maps[self.aggregation.map].items()
        key, value = rows(keys, self._key.dtype), rows(values, self._value.dtype)
        self._count = int(value[self.aggregation.count].sum())
        arrays = [column(np.full(len(key), now, np.int64), self.schema.field("ts").type)]
        for layout, data in ((self._key, key), (self._value, value)):
            part = Batcher(layout, arrow_schema(layout), self._offset, self._encoders.by_typedef)
            arrays += part.batch(data).columns
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
        threads = "tid" in batch.schema.names
        processes.see(pids, batch.column("tid").to_numpy() if threads else pids, now)
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
    check_arguments(kind)
    settings = kind.settings(parameters, machine)
    size = ring_bytes or default_ring(kind.ring_bytes)
    return source_class(kind, parameters)(KindSetup(kind, setup, parameters, settings, size))


def check_arguments(kind: CaptureKind) -> None:
    """Refuse kernels whose tracepoints hand other arguments to programs than a kind's take.

    Raises
    ------
    UnsupportedKernelError
    """
    for name, wanted in kind.arguments.items():
        found = argument_count(name)
        if found != wanted:
            raise UnsupportedKernelError(
                f"The kind {kind.name} cannot be captured on this kernel.",
                why=f"its tracepoint {name} has {found} arguments, not {wanted}"
                if found
                else f"it has no tracepoint {name}, or no BTF that tells of it",
                advice="`workbench doctor` shows what this kernel has; a newer one has more.",
            )


def source_class(kind: CaptureKind, parameters: Mapping[str, Any]) -> type[EventSource]:
    """Return what reads a kind; symbolizing takes imports that other kinds start faster without.

    A kind with a source of its own may have two: ``StackNAME`` reads optional stacks.
    """
    usual: type[EventSource] = EventSource
    stacks = kind.with_stacks(parameters)
    if kind.aggregation and kind.table(parameters) != kind.name:
        usual, own = AggregateSource, kind.aggregation.source
    else:
        own = kind.source or (STACK_SOURCE if stacks else "")
    module, _, name = own.partition(":")
    if not module:
        return usual
    place = importlib.import_module(module)
    found: type[EventSource] = getattr(place, name)
    return getattr(place, f"Stack{name}", found) if stacks else found


def default_ring(wanted: int) -> int:
    """Size of each CPU's buffer: what the kind wants, less on machines with many CPUs."""
    return min(wanted, MAX_BUFFERS // ring_count(len(online_cpus())))
