"""Firefox Profiler: samples and markers of each thread, for profiler.firefox.com.

The "processed profile format" as of version 60, which newer profilers upgrade when they open a
file; it is described by ``src/types/profile.ts`` and ``docs-developer/CHANGELOG-formats.md`` of
firefox-devtools/profiler. All threads share their tables of stacks, frames and functions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any

from workbench.errors import ExportError
from workbench.formats._columns import Columns
from workbench.formats._firefox_tables import CATEGORIES, MS, Shared, weight_type
from workbench.formats._json import constant, dumps
from workbench.formats.format import Format, event_tables
from workbench.frames.by_time import by_time
from workbench.frames.samples import Samples, samples
from workbench.frames.spans import span_kinds, spans
from workbench.frames.stacks import profiled
from workbench.frames.threads import threads

if TYPE_CHECKING:
    import polars as pl

    from workbench.formats._columns import Column
    from workbench.frames.by_time import Scan, Window
    from workbench.frames.spans import SpanKind
    from workbench.recording import Recording

VERSION = 60
"""``preprocessedProfileVersion``."""
GECKO_VERSION = 33
"""``meta.version``: that of the format which Firefox itself writes, at the same time."""
_MARKS = 1 << 17
"""Markers that are held at once: each takes a few hundred bytes."""
_INTERVAL = 1
"""``MarkerPhase`` of markers with a start and an end."""


def write(rec: Recording, file: IO[bytes], table: str | None) -> None:
    """Write the samples of one table, and the spans of all tables or of that one, as markers."""
    import polars as pl

    kinds = span_kinds(rec, table)
    stacks = table or profiled(rec)
    found = _samples(rec, stacks, needed=not kinds)
    texts = pl.Series("name", [""], pl.String)
    for kind in kinds:
        for part in spans(rec, kind):
            texts = pl.concat([texts, part["name"]]).unique()
    shared = Shared(found, texts)
    file.write(b'{"meta":' + dumps(_meta(rec, stacks, kinds)) + b',"libs":[],"shared":')
    shared.put(file)
    file.write(b',"threads":[')
    used = [*([stacks] if found else []), *(kind.table for kind in kinds)]
    people = threads(rec, list(dict.fromkeys(used)))
    mains = _mains(people)
    start = rec.manifest.start_ns
    unit = found.unit if found else "samples"
    with (
        Columns(shared.sample_columns(unit, start)) as sampled,
        Columns(_marker_columns(_payloads(rec, kinds), shared, start)) as marked,
    ):
        if found:
            sampled.add(by_time(found.scan))
        marked.add(by_time(_marks(rec, kinds), _MARKS))
        for number, (pid, tid, name, process) in enumerate(people.iter_rows()):
            file.write(b",\n" if number else b"\n")
            head = _thread(rec, pid, tid, name, process, main=mains[pid] == tid)
            kind_of = dumps({"weightType": weight_type(unit)})[:-1]
            file.write(dumps(head)[:-1] + b',"samples":' + kind_of + b",")
            sampled.put(file, (pid, tid))
            file.write(b'},"markers":{')
            marked.put(file, (pid, tid))
            file.write(b"}}")
    file.write(b"\n]}\n")


def _samples(rec: Recording, table: str, *, needed: bool) -> Samples | None:
    """Return the samples of a table, None where it has no stacks and they are not needed."""
    if table in rec.tables and "stack_id" in rec[table].schema.names:
        return samples(rec, table)
    if not needed:
        return None
    rec[table]
    raise ExportError(
        f"{table} has neither stacks nor spans.",
        advice=f"Tables of this session: {', '.join(rec.tables)}",
    )


def _mains(people: pl.DataFrame) -> dict[int, int]:
    """Return the thread of each process that counts as its main one."""
    mains: dict[int, int] = {}
    for pid, tid, *_ in people.iter_rows():
        if tid == pid or pid not in mains:
            mains[pid] = tid
    return mains


def _meta(rec: Recording, table: str, kinds: list[SpanKind]) -> dict[str, Any]:
    host, parameters = rec.manifest.host, rec.manifest.kinds.get(table) or {}
    hz = parameters.get("hz")
    target = rec.manifest.target.get("command") or []
    return {
        "interval": 1000 / hz if isinstance(hz, int | float) and hz > 0 else 1,
        "startTime": rec.manifest.start_ns / MS,
        "processType": 0,
        "product": " ".join(str(word) for word in target) or rec.path.name,
        "stackwalk": 1,
        "debug": False,
        "version": GECKO_VERSION,
        "preprocessedProfileVersion": VERSION,
        "importedFrom": "eBPF workbench",
        "symbolicated": True,
        "platform": "Linux",
        "oscpu": f"Linux {host.get('kernel', '')} {host.get('machine', '')}".strip(),
        "logicalCPUs": host.get("cpus", 0),
        "categories": [
            {"name": name, "color": colour, "subcategories": ["Other"]}
            for name, colour in CATEGORIES.items()
        ],
        "markerSchema": [_schema(rec, kind) for kind in kinds],
        "sampleUnits": {"time": "ms", "eventDelay": "ms", "threadCPUDelta": "ns"},
    }


def _schema(rec: Recording, kind: SpanKind) -> dict[str, Any]:
    names = rec[kind.table].schema.names
    return {
        "name": kind.table,
        "tooltipLabel": "{marker.name}",
        "tableLabel": "{marker.name}",
        "chartLabel": "{marker.name}",
        "display": ["marker-chart", "marker-table", "timeline-overview"],
        "fields": [
            {"key": name, "label": name, "format": _format(rec, kind.table, name)}
            for name in kind.details
            if name in names
        ],
    }


def _format(rec: Recording, table: str, column: str) -> str:
    """Return the profiler's format of a column: of times, of numbers, of texts."""
    import polars as pl

    dtype = rec[table].lazy().collect_schema()[column]
    if isinstance(dtype, pl.Duration):
        return "nanoseconds"
    return "integer" if dtype.is_integer() else "string"


def _thread(
    rec: Recording, pid: int, tid: int, name: str, process: str, *, main: bool
) -> dict[str, Any]:
    stop = rec.duration.total_seconds() * 1000
    return {
        "processType": "default",
        "processStartupTime": 0,
        "processShutdownTime": stop,
        "registerTime": 0,
        "unregisterTime": stop,
        "pausedRanges": [],
        "name": name,
        "processName": process,
        "isMainThread": main,
        "pid": str(pid),
        "tid": tid,
        "showMarkersInTimeline": True,
    }


def _marks(rec: Recording, kinds: Sequence[SpanKind]) -> Scan:
    """Return what yields spans: pid, tid, ts, duration, name, kind, and details of each kind."""
    import polars as pl

    columns = ("pid", "tid", "ts", "duration", "name")

    def scan(window: Window | None) -> Iterator[pl.DataFrame]:
        part = rec if window is None else rec.window(*window)
        for number, kind in enumerate(kinds):
            details = _details(rec, kind)
            named = [pl.col(name).alias(f"{number}.{name}") for name in details]
            for rows in spans(part, kind):
                yield rows.select(*columns, pl.lit(number).alias("kind"), *named)

    return scan


def _details(rec: Recording, kind: SpanKind) -> list[str]:
    return [name for name in kind.details if name in rec[kind.table].schema.names]


def _payloads(rec: Recording, kinds: Sequence[SpanKind]) -> Column:
    """Return what makes of spans their payloads as JSON."""
    import polars as pl

    def payload(rows: pl.DataFrame) -> pl.Series:
        numbered = rows.with_row_index("row")
        found = []
        for number, kind in enumerate(kinds):
            own = [pl.col(f"{number}.{name}").alias(name) for name in _details(rec, kind)]
            mine = numbered.filter(pl.col("kind") == number)
            if len(mine):
                values = pl.struct(pl.lit(kind.table).alias("type"), *own)
                found.append(mine.select("row", values.struct.json_encode().alias("data")))
        return pl.concat(found).sort("row")["data"]

    return payload


def _marker_columns(payload: Column, shared: Shared, start: int) -> dict[str, Column]:
    return {
        "data": payload,
        "name": lambda rows: shared.text_numbers(rows["name"]),
        "startTime": lambda rows: ((rows["ts"] - start) / MS).round(6),
        "endTime": lambda rows: ((rows["ts"] - start + rows["duration"]) / MS).round(6),
        "phase": lambda rows: constant(_INTERVAL, len(rows)),
        "category": lambda rows: constant(0, len(rows)),
    }


FORMAT = Format(
    "firefox",
    ".firefox.json",
    "samples and markers of threads: profiler.firefox.com",
    write,
    tables=event_tables,
)
