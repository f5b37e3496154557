"""Sessions with given rows, and OTLP requests read with the generated classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
from network_rows import layout_of
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.profiles.v1development.profiles_service_pb2 import (
    ExportProfilesServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from synthetic import (
    DURATION,
    START,
    final_changes,
    make_session,
    manifest,
    side_batches,
)

from workbench.formats.otlp.encode import requests
from workbench.probe.layout import arrow_schema
from workbench.recording import Recording
from workbench.store.writer import SessionWriter

T0 = START + DURATION // 10 * 8
"""A time at which the processes 1000 and 2000 of the synthetic sessions run."""
CLASSES = {
    "traces": ExportTraceServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "logs": ExportLogsServiceRequest,
    "profiles": ExportProfilesServiceRequest,
}
_STACK = (
    pa.field("stack_id", pa.uint32(), nullable=False, metadata={"unit": "1", "meaning": "stack"}),
    pa.field("weight", pa.uint32(), nullable=False, metadata={"unit": "1", "meaning": "events"}),
)


def synthetic(path: Path, rows: int = 5_000, **options: Any) -> Recording:
    """A synthetic session, opened."""
    options = {"kinds": ("syscalls", "cpu", "offcpu")} | options
    return Recording.open(make_session(path / "s.wb", rows=rows, **options))


def written(
    path: Path, *, stacks: tuple[str, ...] = (), **tables: list[dict[str, Any]]
) -> Recording:
    """A session with these rows of kinds; what is not given is 0 or empty."""
    writer = SessionWriter.create(path / "w.wb", manifest(list(tables), 0, 0))
    for table, batches in side_batches().items():
        for batch in batches:
            writer.append(table, batch)
    for kind, rows in tables.items():
        schema = arrow_schema(layout_of(kind))
        drop = [n for n in schema.names if n.endswith("_depth") or n == "words"]
        schema = pa.schema([f for f in schema if f.name not in drop])
        if kind in stacks:
            schema = pa.schema([*schema, *_STACK])
        writer.add_table(kind, schema)
        if rows:
            writer.append(kind, _batch(schema, rows))
    writer.update()
    writer.finish(reason="done", **final_changes(list(tables), 0))
    return Recording.open(path / "w.wb")


def _batch(schema: pa.Schema, rows: list[dict[str, Any]]) -> pa.RecordBatch:
    arrays = []
    for item in schema:
        text = pa.types.is_dictionary(item.type) or pa.types.is_string(item.type)
        several = pa.types.is_fixed_size_list(item.type)
        default = 1 if item.name == "weight" else "" if text else 0
        values = [row.get(item.name, default) for row in rows]
        if several:
            flat = [row.get(item.name, [0] * item.type.list_size) for row in rows]
            arrays.append(pa.array(flat, item.type))
        elif text:
            arrays.append(pa.array(values, pa.string()).dictionary_encode().cast(item.type))
        else:
            unsigned = pa.types.is_unsigned_integer(item.type)
            numbers = pa.array(values, pa.uint64() if unsigned else pa.int64())
            arrays.append(numbers.cast(item.type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def messages(rec: Recording, signal: str, **options: Any) -> list[Any]:
    """The requests of one signal, read; their sizes and counts are checked."""
    found = []
    for request in requests(rec, (signal,), **options):
        assert request.signal == signal
        assert len(request.body) <= options.get("max_bytes", 4 << 20)
        message = CLASSES[signal].FromString(request.body)
        known = CLASSES[signal].FromString(request.body)
        known.DiscardUnknownFields()
        assert known == message  # every field has a number and a type of the schema
        assert request.items == count(message, signal)
        found.append(message)
    return found


def count(message: Any, signal: str) -> int:
    """Items of a request."""
    if signal == "profiles":
        return sum(len(s.timestamps_unix_nano) for p in profiles([message]) for s in p.samples)
    if signal == "metrics":
        return sum(len(points(metric)) for metric in metrics([message]))
    return len(spans([message]) if signal == "traces" else records([message]))


def spans(found: list[Any]) -> list[Any]:
    """All spans."""
    return [
        span
        for message in found
        for resource in message.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def metrics(found: list[Any]) -> list[Any]:
    """All metrics; one that was cut comes in parts."""
    return [
        metric
        for message in found
        for resource in message.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    ]


def points(metric: Any) -> Any:
    """The data points of a metric."""
    return getattr(metric, metric.WhichOneof("data")).data_points


def last_points(found: list[Any], name: str) -> list[Any]:
    """The last point of each series of a metric."""
    last: dict[Any, Any] = {}
    for metric in metrics(found):
        if metric.name == name:
            for point in points(metric):
                last[tuple(sorted(attributes(point).items()))] = point
    return list(last.values())


def records(found: list[Any]) -> list[Any]:
    """All log records."""
    return [
        record
        for message in found
        for resource in message.resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    ]


def profiles(found: list[Any]) -> list[Any]:
    """All profiles."""
    return [
        profile
        for message in found
        for resource in message.resource_profiles
        for scope in resource.scope_profiles
        for profile in scope.profiles
    ]


def attributes(item: Any) -> dict[str, Any]:
    """Attributes by key; none comes twice."""
    found = {each.key: value(each.value) for each in item.attributes}
    assert len(found) == len(item.attributes)
    return found


def value(any_value: Any) -> Any:
    """What an ``AnyValue`` holds."""
    name = any_value.WhichOneof("value")
    if name == "array_value":
        return [value(each) for each in any_value.array_value.values]
    return getattr(any_value, name)
