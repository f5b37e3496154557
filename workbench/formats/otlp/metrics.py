"""Metrics of a session: counts, gauges and histograms over time.

Counts and histograms are **cumulative**: each point tells what happened since the start of the
recording (or of the window that is looked at), which is what the kernel's own counters tell,
what every receiver takes, and what loses nothing if a point is lost. A series has a point for
each interval in which something happened in it, at the end of the interval.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from workbench.errors import ExportError
from workbench.formats.otlp import attributes as of
from workbench.formats.otlp import points, wire
from workbench.formats.otlp.buckets import KERNEL_ZERO, kernel_buckets
from workbench.formats.otlp.instruments import COUNTED, INSTRUMENTS, Counted, Instrument
from workbench.formats.otlp.lives import integers
from workbench.formats.otlp.series import SPAN, Series
from workbench.formats.otlp.slices import slices
from workbench.formats.otlp.thread_spans import errors
from workbench.frames.needs import has

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from workbench.formats.otlp.lives import People
    from workbench.recording import Recording

INTERVALS = 600
"""Intervals of a recording at most: longer ones get longer intervals than a second."""
SECOND = 1_000_000_000
_FIELDS = {"gauge": 5, "sum": 7, "histogram": 10}
_THREAD = ("ts", "pid", "tid", "weight")


class Metric:
    """A metric with its points, as parts of messages that stay under a size.

    Parameters
    ----------
    name, unit, meaning, form : str
        As of :class:`~workbench.formats.otlp.instruments.Instrument`.
    rows : pyarrow.BinaryArray
        Its points.
    """

    def __init__(self, name: str, unit: str, meaning: str, form: str, rows: pa.BinaryArray) -> None:
        self._head = wire.field(1, name) + wire.field(2, meaning) + wire.field(3, unit)
        self._form = form
        self.rows = rows
        self.name = name

    def parts(self, room: int) -> Iterator[tuple[bytes, int]]:
        """Yield whole ``Metric`` items of at most `room` bytes, with the number of their points.

        Raises
        ------
        ExportError
            One point is larger than that.
        """
        tail = b"" if self._form == "gauge" else wire.integer(2, points.CUMULATIVE)
        tail += wire.integer(3, 1) if self._form == "sum" else b""
        room -= len(self._head) + len(tail) + 3 * wire.MAX_VARINT
        offsets, data = wire.buffers(self.rows)
        start = 0
        while start < len(self.rows):
            stop = int(np.searchsorted(offsets, offsets[start] + room, "right")) - 1
            if stop <= start:
                raise ExportError(
                    f"A point of {self.name} has {offsets[start + 1] - offsets[start]} bytes, "
                    f"a request has room for {room}.",
                    advice="Allow larger requests.",
                )
            body = data[int(offsets[start]) : int(offsets[stop])].tobytes() + tail
            yield wire.field(2, self._head + wire.field(_FIELDS[self._form], body)), stop - start
            start = stop


def metrics(rec: Recording, people: People) -> Iterator[Metric]:
    """Yield the metrics of the selected part of a session.

    Parameters
    ----------
    rec : Recording
        Tables and columns that it lacks are left out. Losses and costs are those of the whole
        recording.
    people : People
        Its processes and threads, for exemplars.
    """
    for table in dict.fromkeys(each.table for each in INSTRUMENTS):
        if has(rec, table):
            yield from _of_events(rec, people, table)
    for counted in COUNTED:
        if has(rec, counted.table) and not rec.selection.window:
            yield from _of_counts(rec, people, counted)
    yield from _of_recording(rec, people)


@dataclass(frozen=True)
class Intervals:
    """How the time that is looked at is divided.

    Parameters
    ----------
    start, end, length : int
        ns; the last interval may be shorter.
    """

    start: int
    end: int
    length: int

    @classmethod
    def of(cls, rec: Recording, people: People) -> Intervals:
        """Return seconds, or as many of them as make at most :data:`INTERVALS`."""
        low, high = rec.selection.window or (people.start, people.end)
        start, end = max(low, people.start), min(high, people.end)
        return cls(start, max(end, start), -(-max(end - start, 1) // (INTERVALS * SECOND)) * SECOND)

    def number(self, ts: pl.Expr) -> pl.Expr:
        """Return the interval of a time; what lies before or behind is in the first or last."""
        import polars as pl

        last = max(0, (self.end - self.start - 1) // self.length)
        return ((ts - self.start) // self.length).clip(0, last).cast(pl.Int32)

    def ends(self, rows: pl.DataFrame) -> NDArray[np.int64]:
        """Return the time of each row's ``interval``."""
        return np.minimum(self.start + (integers(rows, "interval") + 1) * self.length, self.end)


def _of_events(rec: Recording, people: People, table: str) -> Iterator[Metric]:
    names = rec[table].schema.names
    wanted = [
        each for each in INSTRUMENTS if each.table == table and {*each.values, "ts"} <= {*names}
    ]
    series = [Series([name for name in each.by if name in names], each.form) for each in wanted]
    times = Intervals.of(rec, people)
    for batch in slices(rec, table, *names):
        frame = _frame(batch, times)
        for each, sums in zip(wanted, series, strict=True):
            rows = _rows(frame, each)
            if rows.height:
                sums.add(_with_spans(rows, batch, each, people))
    for each, sums in zip(wanted, series, strict=True):
        rows = sums.sums()
        if rows.height:
            made = partial(Metric, each.name, each.unit, each.meaning, each.form)
            yield from map(made, _points(each, sums, rows, times))


def _frame(batch: pa.RecordBatch, times: Intervals) -> pl.DataFrame:
    """Return rows with texts as strings, times as integers, errors by name and ``interval``."""
    import polars as pl
    from polars import selectors as cs

    frame = pl.DataFrame(batch).with_row_index("row")
    if "errno" in frame.columns:
        names = pl.Series("error", errors(batch.column("errno")).cast("string"))
        frame = frame.with_columns(names.alias("error"))
    ts = pl.col("ts")
    frame = frame.with_columns(
        (cs.categorical() | cs.enum()).cast(pl.String),
        (cs.duration() | cs.datetime()).cast(pl.Int64),
    )
    if "weight" not in frame.columns:
        frame = frame.with_columns(pl.lit(1).alias("weight"))
    return frame.with_columns(times.number(ts).alias("interval"), pl.col("weight").cast(pl.Int64))


def _rows(frame: pl.DataFrame, each: Instrument) -> pl.DataFrame:
    """Return the rows that an instrument counts, with ``value``."""
    import polars as pl

    if each.where:
        frame = frame.filter(pl.sql_expr(each.where))
    if "errno" in each.by and "error" in frame.columns:
        frame = frame.with_columns(pl.col("error").alias("errno"))
    kind = pl.Int64 if each.form == "sum" else pl.Float64
    value = pl.sum_horizontal(pl.col(name).cast(kind) for name in each.values or ["weight"])
    if not each.values:
        value = pl.lit(1, kind)
    if each.factor != 1:
        value = value * each.factor
    keys = [name for name in each.by if name in frame.columns]
    return frame.select("row", "interval", "ts", "weight", *keys, value.alias("value"))


def _with_spans(
    rows: pl.DataFrame, batch: pa.RecordBatch, each: Instrument, people: People
) -> pl.DataFrame:
    """Return rows with the span of each that may be an exemplar: the largest of its group."""
    import polars as pl
    import pyarrow as pa

    if each.form != "histogram":
        return rows
    found = {name: np.zeros(rows.height, np.uint64) for name in SPAN}
    if each.spans is not None:
        keys = ["interval", *(name for name in each.by if name in rows.columns)]
        at = (
            rows.with_row_index("at")
            .group_by(keys)
            .agg(pl.col("at").get(pl.col("value").arg_max()))
        )
        place = at["at"].to_numpy()
        chosen = batch.take(pa.array(rows["row"].to_numpy()[place]))
        frame = pl.DataFrame(chosen.select(["ts", "pid", "tid"]))
        owners = people.owners(*(integers(frame, name) for name in ("pid", "tid", "ts")))
        found["span"][place] = each.spans(people, chosen)
        found["trace_1"][place], found["trace_2"][place] = owners[0]
    return rows.with_columns(pl.Series(name, values) for name, values in found.items())


def _points(
    each: Instrument, sums: Series, rows: pl.DataFrame, times: Intervals
) -> Iterator[pa.BinaryArray]:
    """Yield the points of a metric."""
    by = {name: each.by[name] for name in sums.by}
    if each.form == "histogram":
        for part, made in sums.distributions(rows):
            time = times.ends(part)
            found = made(part, np.full(len(time), times.start), time)
            trace = tuple(part[name].to_numpy() for name in SPAN[:2])
            example = points.exemplars(
                points.HISTOGRAM_EXEMPLAR,
                integers(part, "ts"),
                part["top"].to_numpy(),
                part["span"].to_numpy(),
                (trace[0], trace[1]),
            )
            yield found.encoded(series_attributes(points.HISTOGRAM_ATTRIBUTE, part, by), example)
        return
    gauge = each.form == "gauge"
    time = integers(rows, "ts") if gauge else times.ends(rows)
    begin = np.full(len(time), 0 if gauge else times.start)
    shown = series_attributes(points.NUMBER_ATTRIBUTE, rows, by)
    yield points.numbers(shown, begin, time, rows["value"].to_numpy())


def series_attributes(number: int, rows: pl.DataFrame, by: Mapping[str, str]) -> list[Any]:
    """Return columns that tell series apart as attributes; nulls and empty texts are none."""
    import polars as pl

    made = []
    for name, key in by.items():
        column = rows[name].to_arrow(compat_level=pl.CompatLevel.oldest())
        text = rows.schema[name] == pl.String
        made.append((of.texts if text else of.numbers)(number, key, column))
    return made


def _of_counts(rec: Recording, people: People, counted: Counted) -> Iterator[Metric]:
    """Yield a histogram that was counted in the kernel: the last row of each key is the sum."""
    import polars as pl
    from polars import selectors as cs

    table = rec[counted.table]
    names = table.schema.names
    if not {counted.histogram, "ts"} <= {*names}:
        return
    by = {name: key for name, key in counted.by.items() if name in names}
    more = [name for name in (counted.sum, "ts", counted.histogram) if name in names]
    rows = (
        table.lazy()
        .select(*by, *more)
        .with_columns((cs.categorical() | cs.enum()).cast(pl.String))
        .sort("ts", maintain_order=True)
        .unique(list(by), keep="last", maintain_order=True)
        .collect()
    )
    flat = rows[counted.histogram].explode(empty_as_null=False).to_numpy().astype(np.int64)
    zeros, buckets = kernel_buckets(flat.reshape(-1, 64))
    count = zeros + buckets.sum(axis=1)
    keep = count > 0
    if not keep.any():
        return
    rows, zeros, buckets, count = rows.filter(keep), zeros[keep], buckets[keep], count[keep]
    total = integers(rows, counted.sum) if counted.sum in names else np.zeros(len(count))
    found = points.Distribution(
        start=np.full(len(count), people.start),
        time=integers(rows, "ts"),
        count=count,
        sum=total.astype(np.float64),
        scale=np.zeros(len(count), np.int64),
        zeros=zeros,
        positive=points.Buckets(np.ones(len(count), np.int64), buckets),
        threshold=KERNEL_ZERO,
    )
    made = found.encoded(series_attributes(points.HISTOGRAM_ATTRIBUTE, rows, by))
    yield Metric(counted.name, "ns", counted.meaning, "histogram", made)


def _of_recording(rec: Recording, people: People) -> Iterator[Metric]:
    """Yield what the recorder counted: events, losses by reason, and the cost of programs."""
    import polars as pl

    losses = [
        (entry["kind"], entry["cpu"], reason, min(count, 2**63 - 1))
        for entry in rec.manifest.losses
        for reason, count in (("", entry["produced"]), *entry["dropped"].items())
    ]
    time = people.end
    for name, meaning, rows in (
        ("produced", "events that the programs made", [r for r in losses if not r[2]]),
        ("dropped", "events that were lost", [r for r in losses if r[2]]),
    ):
        if not rows:
            continue
        kinds = {"kind": pl.String, "cpu": pl.Int64, "reason": pl.String, "value": pl.Int64}
        frame = pl.DataFrame(rows, schema=kinds, orient="row")
        by = {"kind": "workbench.kind", "cpu": "cpu.logical_number", "reason": "workbench.reason"}
        shown = series_attributes(points.NUMBER_ATTRIBUTE, frame, by)
        begin, end = (np.full(frame.height, t) for t in (people.start, time))
        made = points.numbers(shown, begin, end, frame["value"].to_numpy())
        yield Metric(f"workbench.events.{name}", "{event}", meaning, "sum", made)
    costs = [
        (entry["kind"], entry["program"], float(entry["cpu_share"]))
        for entry in rec.manifest.overhead
        if entry.get("cpu_share") is not None
    ]
    if costs:
        frame = pl.DataFrame(costs, schema=["kind", "program", "value"], orient="row")
        by = {"kind": "workbench.kind", "program": "workbench.program"}
        shown = series_attributes(points.NUMBER_ATTRIBUTE, frame, by)
        zeros, end = np.zeros(frame.height, np.int64), np.full(frame.height, time)
        made = points.numbers(shown, zeros, end, frame["value"].to_numpy())
        yield Metric("workbench.overhead.cpu", "1", "share of a CPU of a program", "gauge", made)
