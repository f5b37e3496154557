"""Metrics and logs of any frame: what a user computed, beside what the session is exported as.

    reads = s.sql("select * from files where op = 'read'")
    made = metric_requests(s, reads, "app.read.size", value="ret", unit="By", by=["path"])
    s.send("http://localhost:4318", more=made)

They name the resource and the scope of the session, and lead to the spans of its threads.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from workbench.errors import ExportError
from workbench.formats.otlp import logs
from workbench.formats.otlp.encode import MAX_BYTES
from workbench.formats.otlp.lives import People
from workbench.formats.otlp.metrics.frame_points import measured, points_of
from workbench.formats.otlp.metrics.given_frame import Names, attributes_of, rows_of
from workbench.formats.otlp.metrics.metric import Intervals, Metric
from workbench.formats.otlp.metrics.series import SPAN
from workbench.formats.otlp.origin import SCHEMA_URL, resource, scope
from workbench.formats.otlp.pack import Packer

if TYPE_CHECKING:
    import pyarrow as pa

    from workbench.formats.otlp.request import Request
    from workbench.recording import Recording

FORMS = ("sum", "gauge", "histogram")


def metric_requests(
    rec: Recording,
    frame: Any,
    name: str,
    *,
    value: str | None = None,
    form: str | None = None,
    unit: str = "1",
    meaning: str = "",
    by: Names = (),
    max_bytes: int = MAX_BYTES,
) -> Iterator[Request]:
    """Return a metric of a frame, as requests for :func:`workbench.formats.otlp.sending.send.send`.

    Each point has an exemplar where the frame has ``ts``, ``pid`` and ``tid``: the largest value
    of its interval, of gauges the last one, with the span of its thread.

    Parameters
    ----------
    rec : Recording
        Where the frame is from: its time is divided into intervals, its threads have the spans.
    frame : polars.DataFrame, polars.LazyFrame, pandas.DataFrame or pyarrow.Table
        A row is an event, with its time in ``ts`` (datetime, or ns UTC); of frames without ``ts``,
        such as summaries, all rows are of the end. ``weight``, if there is such a column, says how
        many events a row stands for.
    name : str
        Of the metric.
    value : str, optional
        Column of numbers, or of durations, which are measured in ns. Rows without a time or
        without a finite value are left out. By default events are counted.
    form : str, optional
        ``sum``: a counter, cumulative; ``gauge``: the last value of each interval; ``histogram``:
        exponential, cumulative. Default ``histogram``, without ``value`` ``sum``.
    unit : str
        As UCUM writes it.
    meaning : str
        What people read of it.
    by : mapping of str to str, or sequence of str
        Columns that tell series apart, and the attributes that they become, by default of the same
        name. Integers stay integers, all else becomes text; nulls are left out.
    max_bytes : int
        No request is larger.

    Returns
    -------
    iterator of Request
        Items are data points.

    Raises
    ------
    ExportError
        A column is missing or of the wrong type, there is no such form, or a counter would fall.
    """
    form = form or ("sum" if value is None else "histogram")
    if form not in FORMS or (value is None and form != "sum"):
        raise ExportError(
            f"No metric of the form {form!r} can be made of {value or 'events without a value'}.",
            advice=f"Forms are {', '.join(FORMS)}; all but sum take a value.",
        )
    keys = attributes_of(by)
    people = People(rec)
    times = Intervals.of(rec, people)
    needed = [*keys, *([] if value is None else [value])]
    rows = measured(rows_of(frame, people, times.end, *needed), value, form, list(keys))
    if form == "sum" and (rows["value"] < 0).any():
        raise ExportError(
            f"{name} would fall: {value} is negative in some rows, and a sum only grows.",
            advice="Use form='gauge' or form='histogram'.",
        )
    made = points_of(rows, times, form, keys) if rows.height else iter(())
    metrics = (Metric(name, unit, meaning, form, part) for part in made)
    packer = Packer("metrics", resource(rec), scope(rec), max_bytes, SCHEMA_URL)
    return _packed(packer, metrics)


def log_requests(
    rec: Recording,
    frame: Any,
    event: str,
    *,
    text: str = "text",
    attributes: Names = (),
    severity: int = logs.WARN,
    max_bytes: int = MAX_BYTES,
) -> Iterator[Request]:
    """Return the rows of a frame as log records, as requests that can be sent.

    Parameters
    ----------
    rec : Recording
        Where the frame is from.
    frame : polars.DataFrame, polars.LazyFrame, pandas.DataFrame or pyarrow.Table
        A row becomes a record, with its time of ``ts`` (datetime, or ns UTC), else that of the
        end. Where there are ``pid`` and ``tid`` as well it belongs to the span of that thread.
        Rows whose time is null are left out.
    event : str
        Name of the event, the same for records of one sort.
    text : str
        Column of what people read.
    attributes : mapping of str to str, or sequence of str
        Columns, and the attributes that they become, by default of the same name.
    severity : int
        ``INFO``, ``WARN`` or ``ERROR`` of :mod:`workbench.formats.otlp.logs`.
    max_bytes : int
        No request is larger.

    Returns
    -------
    iterator of Request
        Items are log records.

    Raises
    ------
    ExportError
        A column is missing, or its times are none.
    """
    import polars as pl

    keys = attributes_of(attributes)
    people = People(rec)
    rows = rows_of(frame, people, people.end, text, *keys)
    first, second, span = (rows[name].to_numpy() for name in SPAN)
    # Attributes are columns of their own: one of them may be called "text", or be the text.
    told = rows.select(
        "ts",
        pl.col(text).cast(pl.String).alias("text"),
        *(pl.col(name).alias(f"attribute {key}") for name, key in keys.items()),
    )
    named = {f"attribute {key}": key for key in keys.values()}
    made = logs.records(told, event, named, severity=severity, spans=((first, second), span))
    packer = Packer("logs", resource(rec), scope(rec), max_bytes, SCHEMA_URL)
    return _rows(packer, made)


def _packed(packer: Packer, metrics: Iterator[Metric]) -> Iterator[Request]:
    for metric in metrics:
        for data, items in metric.parts(packer.room):
            yield from packer.item(data, items)
    yield from packer.rest()


def _rows(packer: Packer, rows: pa.BinaryArray) -> Iterator[Request]:
    yield from packer.rows(rows)
    yield from packer.rest()
