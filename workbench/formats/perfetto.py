"""Perfetto trace (protobuf): threads, spans with stacks, CPU samples and counters.

A sequence of ``TracePacket`` of ``protos/perfetto/trace/perfetto_trace.proto`` (Perfetto 0.59).
Texts, frames and stacks are interned, and columns of packets are filled in at once
(:mod:`workbench.formats._packets`). Packets are in the order of writing: Perfetto sorts them.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

import numpy as np

from workbench.errors import ExportError
from workbench.formats._packets import (
    Piece,
    column,
    filled,
    floats,
    in_order,
    merged,
    message,
    number,
    text,
)
from workbench.formats._perfetto_samples import (
    I64,
    ID,
    NEEDS,
    SEQUENCE,
    is_heavy,
    is_sampled,
    packets_of,
    sample_packets,
)
from workbench.formats._perfetto_stacks import Stacks
from workbench.formats.format import Format, event_tables
from workbench.frames.rates import rates
from workbench.frames.spans import SpanKind, span_kinds, spans
from workbench.frames.stacks import DEFAULTS
from workbench.frames.threads import threads
from workbench.schema import SIDE_TABLES

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl
    from numpy.typing import NDArray

    from workbench.recording import Recording

BOOTTIME, REALTIME = 6, 1
"""``BuiltinClock``: Perfetto's own clock, and UTC."""
BEGIN, END, COUNTER = 1, 2, 4
"""``TrackEvent.Type``."""
CLEARED = 1
"""``SequenceFlags``: interned data begin anew."""
SW_CPU_CLOCK = 1
"""``PerfEvents.Counter``."""


def write(rec: Recording, file: IO[bytes], table: str | None) -> None:
    """Write the spans, samples and counters of all tables, or of one."""
    if table in SIDE_TABLES:
        raise ExportError(f"{table} holds no events.", advice="Name a table of events, or none.")
    names = [rec[table].name] if table else [n for n in rec.tables if n not in SIDE_TABLES]
    _Trace(rec, file).write(names)


def too_heavy(rec: Recording, names: Sequence[str] | None = None) -> list[str]:
    """Return the tables of samples whose rows stand for more events than Perfetto can be told.

    They are left out where no table is named and something else is there to be written.
    """
    spanned = {kind.table for kind in span_kinds(rec)}
    given = [n for n in rec.tables if n not in SIDE_TABLES] if names is None else names
    sampled = [n for n in given if is_sampled(rec, n) and n not in {*spanned, *DEFAULTS}]
    return [name for name in sampled if is_heavy(rec, name)]


class _Trace:
    """A trace that is being written."""

    def __init__(self, rec: Recording, file: IO[bytes]) -> None:
        self._rec = rec
        self._file = file
        offset = rec.manifest.clock.get("offset_start_ns") or 0
        self._offset = offset if 0 < offset <= rec.manifest.start_ns else 0
        self._uuid = 0
        self._processes: dict[int, int] = {}
        self._threads: dict[tuple[int, int], int] = {}
        # Interned texts by their field of InternedData: categories, names, annotations, values.
        self._texts: dict[int, dict[str, int]] = {1: {}, 2: {}, 3: {}, 29: {}}

    def write(self, names: list[str]) -> None:
        """Write everything of these tables."""
        rec = self._rec
        start = rec.manifest.start_ns
        clocks = ((BOOTTIME, start - self._offset), (REALTIME, start))
        pairs = b"".join(text(1, number(1, clock) + number(2, at)) for clock, at in clocks)
        self._packet(text(6, pairs))
        kinds = [kind for kind in span_kinds(rec) if kind.table in names]
        spanned = {kind.table for kind in kinds}
        sampled = [name for name in names if is_sampled(rec, name) and name not in spanned]
        if len(names) > 1:  # what is not counted (bytes, waits) has to be asked for
            sampled = [name for name in sampled if name not in DEFAULTS]
            heavy = too_heavy(rec, sampled)
            if set(heavy) < set(sampled) or kinds:  # if it is all that there is, it is told
                sampled = [name for name in sampled if name not in heavy]
        defaults = text(11, b"") + text(12, text(1, self._timebase(sampled)))
        self._packet(text(59, defaults) + number(13, CLEARED))
        with_stacks = [n for n in names if "stack_id" in rec[n].schema.names]
        stacks = Stacks(rec, with_stacks)
        for packet in stacks.packets():
            self._packet(text(12, packet) + number(13, NEEDS))
        self._tracks(threads(rec, names))
        for name in names:
            self._counter(name)
        for name in sampled:
            for packets in sample_packets(rec, name, stacks, self._offset):
                self._file.write(packets)
        for kind in kinds:
            for batch in spans(rec, kind):
                self._spans(kind, batch, stacks)

    def _packet(self, body: bytes) -> None:
        self._file.write(text(1, body + SEQUENCE))

    def _timebase(self, sampled: list[str]) -> bytes:
        """Return ``PerfEvents.Timebase``: what the samples are driven by."""
        hz = (self._rec.manifest.kinds.get("cpu") or {}).get("hz")
        rate = number(2, round(hz)) if isinstance(hz, int | float) and hz >= 1 else number(1, 1)
        clock = number(4, SW_CPU_CLOCK) if "cpu" in sampled else b""
        return rate + clock + text(10, sampled[0] if sampled else "cpu")

    def _new_uuid(self) -> int:
        self._uuid += 1
        return self._uuid

    def _tracks(self, people: pl.DataFrame) -> None:
        """Write the tracks of processes and threads."""
        for pid, process in people.select("pid", "process").unique(maintain_order=True).iter_rows():
            uuid = self._processes[pid] = self._new_uuid()
            self._packet(text(60, number(1, uuid) + text(3, number(1, pid) + text(6, process))))
        for pid, tid, name, _ in people.iter_rows():
            uuid = self._threads[pid, tid] = self._new_uuid()
            thread = number(1, pid) + number(2, tid) + text(5, name)
            parent = number(5, self._processes[pid])
            self._packet(text(60, number(1, uuid) + parent + text(4, thread)))

    def _counter(self, name: str) -> None:
        """Write how many events a second there were."""
        uuid = self._new_uuid()
        self._packet(text(60, number(1, uuid) + text(2, f"{name}/s") + text(8, b"")))
        times, values = rates(self._rec, name)
        event = [number(9, COUNTER) + number(11, uuid), *floats(44, "value")]
        self._put(event, {"ts": times - self._offset, "value": values})

    def _put(self, event: list[Piece], columns: dict[str, NDArray[np.generic]]) -> None:
        template = packets_of(message(11, event))
        self._file.write(filled(template, columns, len(columns["ts"])).tobytes())

    def _interned(self, field: int, values: pl.Series) -> NDArray[np.int64]:
        """Return the numbers of texts, 0 for null; write those that are new."""
        import polars as pl

        known = self._texts[field]
        new = [one for one in values.drop_nulls().unique().sort() if one not in known]
        if new:
            known |= {one: len(known) + 1 + at for at, one in enumerate(new)}
            entries = (text(field, number(1, known[one]) + text(2, one)) for one in new)
            self._packet(text(12, b"".join(entries)) + number(13, NEEDS))
        table = pl.DataFrame(
            {"text": list(known), "iid": list(known.values())},
            schema={"text": pl.String, "iid": pl.Int64},
        )
        rows = values.rename("text").to_frame()
        found = rows.join(table, on="text", how="left", maintain_order="left")["iid"]
        return found.fill_null(0).to_numpy()

    def _spans(self, kind: SpanKind, batch: pl.DataFrame, stacks: Stacks) -> None:
        """Write the spans of a batch: those that overlap with others on a track of their own."""
        import polars as pl

        if batch.is_empty():
            return
        begin = batch["ts"].to_numpy() - self._offset
        found = {"name": self._interned(2, batch["name"])}
        category = int(self._interned(1, pl.Series([kind.table]))[0])
        if kind.nested:
            found["track"] = self._thread_tracks(batch)
        else:
            found["track"] = self._uuid + 1 + np.arange(len(batch))
            self._uuid += len(batch)
            self._own_tracks(kind, batch, found["track"])
        head = [number(9, BEGIN), *column(11, "track", ID), number(3, category)]
        head += column(10, "name", ID)
        if "stack_id" in batch.columns:
            found["stack"] = stacks.numbers(batch["stack_id"])
            head += column(56, "stack", ID)
        details = self._details(kind, batch, found)
        end = begin + batch["duration"].to_numpy()
        places = in_order(begin, end)
        parts = []
        # Packets with and without a value (errno) have different lengths.
        masks = np.zeros(len(batch), np.int64)
        for bit, (name, _) in enumerate(details):
            masks |= batch[name].is_not_null().to_numpy().astype(np.int64) << bit
        for mask in np.unique(masks):
            rows = np.flatnonzero(masks == mask)
            chosen = [pieces for bit, (_, pieces) in enumerate(details) if mask >> bit & 1]
            event = message(11, [*head, *(piece for pieces in chosen for piece in pieces)])
            values = {key: column_[rows] for key, column_ in found.items()} | {"ts": begin[rows]}
            parts.append((places[0][rows], filled(packets_of(event), values, len(rows))))
        ends = packets_of(message(11, [number(9, END), *column(11, "track", ID)]))
        values = {"ts": end, "track": found["track"]}
        parts.append((places[1], filled(ends, values, len(batch))))
        self._file.write(merged(parts))

    def _details(
        self, kind: SpanKind, batch: pl.DataFrame, found: dict[str, NDArray[np.int64]]
    ) -> list[tuple[str, list[Piece]]]:
        """Return the annotations, as pieces; add their columns to those found."""
        import polars as pl

        details = []
        for name in kind.details:
            if name not in batch.columns:
                continue
            title = int(self._interned(3, pl.Series([name]))[0])
            if batch.schema[name] == pl.String:
                found[name] = self._interned(29, batch[name])
                value = column(17, name, ID)
            else:
                found[name] = batch[name].cast(pl.Int64).fill_null(0).to_numpy()
                value = column(4, name, I64)
            details.append((name, message(4, [number(1, title), *value])))
        return details

    def _thread_tracks(self, batch: pl.DataFrame) -> NDArray[np.int64]:
        import polars as pl

        table = pl.DataFrame(
            [(pid, tid, uuid) for (pid, tid), uuid in self._threads.items()],
            schema={"pid": pl.Int64, "tid": pl.Int64, "uuid": pl.Int64},
            orient="row",
        )
        who = batch.select("pid", "tid")
        return who.join(table, on=["pid", "tid"], how="left", maintain_order="left")[
            "uuid"
        ].to_numpy()

    def _own_tracks(self, kind: SpanKind, batch: pl.DataFrame, uuids: NDArray[np.int64]) -> None:
        """Write a track for each span; those of one name and process are shown as one."""
        import polars as pl

        parents = batch["pid"].replace_strict(self._processes, return_dtype=pl.Int64).to_numpy()
        track: list[Piece] = [*column(1, "uuid", ID), *column(5, "parent", ID)]
        track.append(text(2, kind.meaning))
        template = message(1, [*message(60, track), SEQUENCE])
        columns = {"uuid": uuids, "parent": parents}
        self._file.write(filled(template, columns, len(batch)).tobytes())


FORMAT = Format(
    "perfetto",
    ".pftrace",
    "spans, samples and counters of threads: ui.perfetto.dev",
    write,
    tables=event_tables,
)
