"""One BPF object of a session: its buffer, its batches and its exact losses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.kinds import OBJECTS
from workbench.probe import perf_event
from workbench.probe.objects import Object
from workbench.probe.perfbuf import PerfBuffer
from workbench.probe.ringbuf import RingBuffers
from workbench.probe.tracepoints import argument_count
from workbench.recorder.kernel_facts import kernel_facts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from workbench.kinds import CaptureKind
    from workbench.probe.layout import Layout
    from workbench.probe.maps import Map
    from workbench.probe.span import Span
    from workbench.recorder.spec import Target

RING, PERF = 0, 1  # enum wb_transport
MAX_WATERMARK = 2 << 20
"""Bytes: what waits then still fits the last-level cache when it is read."""


MAX_RINGS = 64


@dataclass(frozen=True)
class Setup:
    """How the objects of a session are set up.

    Parameters
    ----------
    filter : mapping
        Values of the filter's ``const volatile`` parameters.
    transport : int
        ``RING`` or ``PERF``.
    clock_offset : int
        Nanoseconds from the boot clock to UTC.
    shared : mapping of str to Map
        Maps that the object takes from another one instead of making its own.
    target : Target, optional
        What is traced.
    services : dict of str to object
        What several sources of a session use together; the first one that needs it puts it there.
    """

    filter: Mapping[str, Any]
    transport: int
    clock_offset: int
    shared: Mapping[str, Map] = field(default_factory=dict)
    target: Target | None = None
    services: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class KindSetup:
    """How the source of one kind is set up.

    Parameters
    ----------
    kind : CaptureKind
    session : Setup
        How all sources of the session are.
    parameters : mapping of str to object
        Those of the capture, checked.
    settings : mapping of str to object
        Values of the object's own ``const volatile`` parameters.
    ring_bytes : int
        Of each CPU's buffer.
    """

    kind: CaptureKind
    session: Setup
    parameters: Mapping[str, Any]
    settings: Mapping[str, Any]
    ring_bytes: int


class Source:
    """An object, loaded; its programs are attached by :meth:`attach`.

    Parameters
    ----------
    kind : str
        The object is ``KIND.bpf.o`` and its event ``struct KIND_event``.
    settings : mapping
        Values of the object's own parameters.
    ring_bytes : int
        Of each CPU's buffer; 0: the object sends no events.
    watermark : int
        Bytes of one CPU that wake the recorder.
    path : Path, optional
        The object, if it is not one of the workbench's own.
    """

    def __init__(
        self,
        kind: str,
        setup: Setup,
        settings: Mapping[str, Any],
        ring_bytes: int,
        watermark: int | None = None,
        path: Path | None = None,
    ) -> None:
        self.kind = kind
        self.object = Object(path or OBJECTS / f"{kind}.bpf.o")
        self.buffer: RingBuffers | PerfBuffer | None = None
        self.rings = ring_count(len(perf_event.online_cpus()))
        # Each CPU wakes the recorder by what it has sent itself.
        watermark = watermark or max(1, min(ring_bytes // 4, MAX_WATERMARK))
        try:
            self._set_up(setup, settings, watermark)
            self.object.load()
            self.layout = self._read_layout()
            self._stats = self.object.global_array("wb_stats")
            if ring_bytes:
                self._open_buffer(setup.transport, ring_bytes, watermark)
        except BaseException:
            self.close()
            raise
        reasons = self.object.btf.enum("wb_drop")
        self._reasons = {v: k.removeprefix("WB_DROP_").lower() for k, v in reasons.items()}
        self.delivered = np.zeros(len(self._stats), np.int64)
        self._added = np.zeros(len(self._stats), np.int64)

    def _set_up(self, setup: Setup, settings: Mapping[str, Any], watermark: int) -> None:
        values = {**setup.filter, **kernel_facts(self.object.parameters), **settings}
        values["wb_transport"] = setup.transport
        values |= self._take_optional()
        values |= {"wb_watermark": watermark, "wb_ring_count": self.rings}
        for name, value in values.items():
            if name in self.object.parameters:
                self.object.set(name, value)
        maps = self.object.maps
        for name, other in setup.shared.items():
            if name in maps:
                maps[name].share(other)
        maps["wb_rings" if setup.transport == PERF else "wb_perf"].leave_out()

    def _read_layout(self) -> Layout:
        return self.object.layout(f"{self.kind}_event")

    def _take_optional(self) -> dict[str, int]:
        """Load the programs of sections ``?tp_btf/...`` whose tracepoint this kernel has.

        Returns
        -------
        dict of str to int
            1 for ``has_TRACEPOINT`` of those: a parameter of objects that go by it.
        """
        there = {}
        for program in [p for p in self.object.programs.values() if p.optional]:
            tracepoint = program.section.rpartition("/")[2]
            if argument_count(tracepoint):
                program.take()
                there[f"has_{tracepoint}"] = 1
            else:
                del self.object.programs[program.name]
        return there

    def _open_buffer(self, transport: int, size: int, watermark: int) -> None:
        if transport == RING:
            rings = self.object.maps["wb_rings"]
            self.buffer = RingBuffers(rings, self.rings, size)
        else:
            self.buffer = PerfBuffer(self.object.maps["wb_perf"], size, watermark)

    def attach(self, hz: int = 0) -> None:
        """Attach all programs: by their sections, or to clocks of ``hz`` on every CPU."""
        for program in self.object.programs.values():
            if program.section == "perf_event":
                for cpu in perf_event.online_cpus():
                    fd = perf_event.open_cpu_clock(cpu, hz)
                    self.object.attach_perf_event(program, fd)
            else:
                self.object.attach(program)

    def drain(self) -> Iterator[tuple[Span, NDArray[Any]]]:
        """Give what waits in the buffer: spans, and their records as structured arrays.

        Both are valid until the next step only.
        """
        if self.buffer is None:
            return
        for span in self.buffer.drain():
            records = span.records(self.layout.dtype)
            self._count_by_cpu(records["cpu"])
            yield span, records

    def _count_by_cpu(self, cpus: NDArray[np.uint16]) -> None:
        if len(cpus) and (cpus == cpus[0]).all():  # the rule where each CPU has its ring
            self.delivered[cpus[0]] += len(cpus)
        else:
            self.delivered += np.bincount(cpus, minlength=len(self.delivered))

    @property
    def produced(self) -> int:
        """Events that the programs made so far."""
        return int(self._stats["produced"].sum())

    @property
    def dropped(self) -> int:
        """Events that were lost so far."""
        return int(self._stats["dropped"].sum())

    @property
    def waiting(self) -> int:
        """Events made but neither lost nor drained."""
        return self.produced - self.dropped - int(self.delivered.sum())

    def add(self, cpus: NDArray[np.uint16]) -> None:
        """Count events that the recorder itself makes, at the end: what was still under way."""
        self._added += np.bincount(cpus, minlength=len(self._added))

    def losses(self, *, final: bool = False) -> list[dict[str, Any]]:
        """Rows for the manifest, one per CPU that saw events.

        Parameters
        ----------
        final : bool
            Nothing more comes: what is missing now is ``unaccounted``.
        """
        rows = []
        produced, dropped = self._stats["produced"], self._stats["dropped"]
        for cpu in np.flatnonzero(produced + self._added.astype(np.uint64)):
            reasons = {self._reasons[i]: int(n) for i, n in enumerate(dropped[cpu]) if n}
            made, got = int(produced[cpu]), int(self.delivered[cpu])
            missing = made - got - sum(reasons.values())
            if final and missing:
                reasons["unaccounted"] = max(missing, 0)
            added = int(self._added[cpu])
            row = {"kind": self.kind, "cpu": int(cpu), "produced": made + added}
            rows.append(row | {"delivered": got + added, "dropped": reasons})
        return rows

    def close(self) -> None:
        """Detach, unload, unmap. Safe to call twice."""
        if self.buffer is not None:
            self.buffer.close()
            self.buffer = None
        self.delivered = getattr(self, "delivered", np.zeros(0, np.int64))
        self._stats = np.zeros(0, np.dtype([("produced", "u8"), ("dropped", "u8")]))
        self.object.close()


def ring_count(cpus: int) -> int:
    """Rings for a number of CPUs: the next lower power of two, at most :data:`MAX_RINGS`."""
    return int(min(1 << (cpus.bit_length() - 1), MAX_RINGS))
