"""Logs: what was lost and what went wrong, and any table of events that people should read.

:func:`records` turns a frame into log records; :func:`logs` does so with the losses of a session.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.formats.otlp import attributes as of
from workbench.formats.otlp import wire
from workbench.formats.otlp.pack import ITEM

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from workbench.formats.otlp.identity import Ids
    from workbench.formats.otlp.lives import People, Trace
    from workbench.recording import Recording

INFO, WARN, ERROR = 9, 13, 17
"""``SeverityNumber``."""
_NAMES = {INFO: "INFO", WARN: "WARN", ERROR: "ERROR"}
ATTRIBUTE = 6
"""Field of the attributes of a ``LogRecord``."""


def records(
    frame: pl.DataFrame,
    event: str,
    attributes: Mapping[str, str],
    *,
    severity: int = WARN,
    observed_ns: int = 0,
    spans: tuple[Trace, Ids] | None = None,
) -> pa.BinaryArray:
    """Return each row as a ``LogRecord``.

    Parameters
    ----------
    frame : polars.DataFrame
        ``ts`` (datetime or ns UTC), ``text`` (what people read), and columns for attributes:
        texts, numbers or floats; nulls and empty texts are left out.
    event : str
        Name of the event, the same for records of one sort.
    attributes : mapping of str to str
        Columns, and the attributes that they become.
    severity : int
        :data:`INFO`, :data:`WARN` or :data:`ERROR`.
    observed_ns : int
        When it was noticed, ns UTC; by default at ``ts``.
    spans : (trace, span), optional
        Of each row, as of :class:`workbench.formats.otlp.traces.spans.Spans`; a span of 0 is none.
    """
    import polars as pl
    import pyarrow as pa

    ts = frame["ts"].cast(pl.Int64).fill_null(0).to_numpy()
    rows = np.empty(len(ts), [("a", "V1"), ("ts", "<i8"), ("b", "V1"), ("seen", "<i8")])
    rows["a"] = np.frombuffer(wire.tag(1, wire.FIXED64), "V1")[0]
    rows["b"] = np.frombuffer(wire.tag(11, wire.FIXED64), "V1")[0]
    rows["ts"], rows["seen"] = ts, observed_ns or ts
    text = _arrow(frame["text"].cast(pl.String).fill_null("")).cast(pa.string()).cast(pa.binary())
    parts: list[Any] = [
        wire.block(rows),
        wire.integer(2, severity) + wire.field(3, _NAMES.get(severity, "")),
        wire.message(5, wire.message(of.STRING, text)),
        *(_attribute(frame[name], key) for name, key in attributes.items()),
        wire.field(12, event),
    ]
    if spans is not None:
        parts.append(_span(*spans))
    return wire.message(ITEM, *parts)


def logs(rec: Recording, people: People) -> Iterator[pa.BinaryArray]:
    """Yield what a session lost, by kind, CPU and reason, and the problems that it tells of.

    Both are of the whole recording, whatever is selected: what was lost has no time and no name.
    """
    import polars as pl

    rows = [
        (entry["kind"], entry["cpu"], reason, count, entry["produced"])
        for entry in rec.manifest.losses
        for reason, count in entry["dropped"].items()
        if count
    ]
    schema: dict[str, Any] = {"kind": pl.String, "cpu": pl.Int64, "reason": pl.String}
    schema |= dict.fromkeys(("count", "produced"), pl.UInt64)
    lost = pl.DataFrame(rows, schema=schema, orient="row").with_columns(
        pl.lit(people.end).alias("ts"),
        pl.format(
            "{} of {} events of {} on CPU {} were lost: {}",
            *("count", "produced", "kind", "cpu", "reason"),
        ).alias("text"),
    )
    if lost.height:
        keys = {
            "kind": "workbench.kind",
            "cpu": "cpu.logical_number",
            "reason": "workbench.reason",
            "count": "workbench.events.dropped",
            "produced": "workbench.events.produced",
        }
        yield records(lost, "workbench.loss", keys)
    if rec.manifest.problems:
        problems = pl.DataFrame({"text": list(rec.manifest.problems)})
        at = pl.lit(people.end).alias("ts")
        yield records(problems.with_columns(at), "workbench.problem", {})


def _attribute(column: pl.Series, key: str) -> pa.BinaryArray:
    import polars as pl

    if column.dtype.is_float():
        known = column.is_not_null().to_numpy()
        return wire.present(of.doubles(ATTRIBUTE, key, column.fill_null(0).to_numpy()), known)
    if column.dtype.is_integer():
        return of.numbers(ATTRIBUTE, key, _arrow(column))
    return of.texts(ATTRIBUTE, key, _arrow(column.cast(pl.String)))


def _span(trace: Trace, span: Ids) -> pa.BinaryArray:
    rows = np.empty(
        len(span), [("a", "V2"), ("t1", ">u8"), ("t2", ">u8"), ("b", "V2"), ("span", ">u8")]
    )
    rows["a"] = np.frombuffer(wire.tag(9, wire.DELIMITED) + b"\x10", "V2")[0]
    rows["b"] = np.frombuffer(wire.tag(10, wire.DELIMITED) + b"\x08", "V2")[0]
    (rows["t1"], rows["t2"]), rows["span"] = trace, span
    return wire.present(wire.block(rows), span != 0)


def _arrow(column: pl.Series) -> Any:
    import polars as pl

    return column.to_arrow(compat_level=pl.CompatLevel.oldest())
