"""Metrics of a session: counts, gauges and histograms over time.

Counts and histograms are **cumulative**: each point tells what happened since the start of the
recording (or of the window that is looked at), which is what the kernel's own counters tell,
what every receiver takes, and what loses nothing if a point is lost. A series has a point for
each interval in which something happened in it, at the end of the interval.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from workbench.formats.otlp.lives import integers
from workbench.formats.otlp.metrics import conventions, points
from workbench.formats.otlp.metrics.counted_metrics import counted_metrics
from workbench.formats.otlp.metrics.instrument import Instrument
from workbench.formats.otlp.metrics.instruments import INSTRUMENTS
from workbench.formats.otlp.metrics.metric import Intervals, Metric, series_attributes
from workbench.formats.otlp.metrics.recorder_metrics import recorder_metrics
from workbench.formats.otlp.metrics.series import SPAN, Series
from workbench.formats.otlp.slices import slices
from workbench.formats.otlp.traces import thread_spans as threads
from workbench.frames.needs import has

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from workbench.formats.otlp.lives import People
    from workbench.recording import Recording

EXEMPLARS = {
    "syscalls": {"pid", *threads.SYSCALL_ID},
    "offcpu": {*threads.OFFCPU_ID},
    "locks": {*threads.LOCK_ID},
    **{
        table: {"ts", "pid", "tid"}
        for table in ("sched", "http", "dns", "tcp", "sockets", "files", "block")
    },
}
"""Columns without which the rows of a table have no spans."""


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
    yield from counted_metrics(rec, people)
    yield from recorder_metrics(rec, people)


def _of_events(rec: Recording, people: People, table: str) -> Iterator[Metric]:
    names = [*rec[table].schema.names, *conventions.ADDED.get(table, ())]
    wanted = [each for each in INSTRUMENTS if each.table == table and each.columns() <= {*names}]
    if not EXEMPLARS.get(table, set()) <= {*names}:
        wanted = [replace(each, spans=None) for each in wanted]
    series = [Series([name for name in each.by if name in names], each.form) for each in wanted]
    times = Intervals.of(rec, people)
    plain = [each.name for each in rec[table].schema if not hasattr(each.type, "list_size")]
    for batch in slices(rec, table, *plain):
        frame = conventions.added(table, _frame(batch, times))
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
    """Return rows with times as integers, errors by name and ``interval``.

    Texts stay numbers of a dictionary until they are summed: these are compared much faster.
    """
    import polars as pl
    from polars import selectors as cs

    frame = pl.DataFrame(batch).with_row_index("row")
    if "errno" in frame.columns:
        names = pl.Series("error", threads.errors(batch.column("errno"))).cast(pl.Categorical)
        frame = frame.with_columns(names)
    ts = pl.col("ts")
    frame = frame.with_columns((cs.duration() | cs.datetime()).cast(pl.Int64))
    if "weight" not in frame.columns:
        frame = frame.with_columns(pl.lit(1).alias("weight"))
    return frame.with_columns(times.number(ts).alias("interval"), pl.col("weight").cast(pl.Int64))


def _rows(frame: pl.DataFrame, each: Instrument) -> pl.DataFrame:
    """Return the rows that an instrument counts, with ``value``."""
    import polars as pl

    if each.where:
        condition = pl.sql_expr(each.where)
        asked = frame.select(condition.meta.root_names())
        asked = asked.with_columns(pl.selectors.categorical().cast(pl.String))
        frame = frame.filter(asked.select(condition).to_series())
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
