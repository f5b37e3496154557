"""What others take for the same: OpenTelemetry's Python SDK, and protobuf's generated classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.profiles.v1development.profiles_pb2 import Profile
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans
from opentelemetry.proto.trace.v1.trace_pb2 import Status as ProtoStatus
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Status, StatusCode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROWS = 512
"""Spans in a request, as the SDK's batch processor has it."""


def sdk_spans(rows: Sequence[dict[str, Any]]) -> int:
    """Make a span of each row with the SDK, and encode them as its exporter does."""
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracer = provider.get_tracer("bench")
    size = 0
    for at in range(0, len(rows), ROWS):
        for row in rows[at : at + ROWS]:
            span = tracer.start_span(
                row["name"], attributes=row["attributes"], start_time=row["start"]
            )
            if row["error"]:
                span.set_status(Status(StatusCode.ERROR, row["error"]))
            span.end(row["end"])
        size += len(encode_spans(kept.get_finished_spans()).SerializeToString())
        kept.clear()
    provider.shutdown()
    return size


def class_spans(rows: Sequence[dict[str, Any]]) -> int:
    """Make a span of each row with the generated classes."""
    size = 0
    for at in range(0, len(rows), ROWS):
        scope = ScopeSpans()
        for row in rows[at : at + ROWS]:
            span = scope.spans.add(
                trace_id=b"\x01" * 16,
                span_id=b"\x02" * 8,
                parent_span_id=b"\x03" * 8,
                name=row["name"],
                kind=1,
                start_time_unix_nano=row["start"],
                end_time_unix_nano=row["end"],
            )
            for key, value in row["attributes"].items():
                pair = span.attributes.add(key=key)
                if isinstance(value, str):
                    pair.value.string_value = value
                else:
                    pair.value.int_value = value
            if row["error"]:
                span.status.code = ProtoStatus.STATUS_CODE_ERROR
                span.status.message = row["error"]
        size += len(scope.SerializeToString())
    return size


def sdk_measure(rows: Sequence[dict[str, Any]]) -> int:
    """Count the durations of rows in the SDK's exponential histograms, and encode them once."""
    reader = InMemoryMetricReader()
    view = View(instrument_name="*", aggregation=ExponentialBucketHistogramAggregation())
    provider = MeterProvider([reader], views=[view])
    histogram = provider.get_meter("bench").create_histogram("duration", "ns")
    for row in rows:
        keys = {"process.pid": row["attributes"]["process.pid"], "name": row["name"]}
        histogram.record(row["end"] - row["start"], keys)
    size = len(encode_metrics(reader.get_metrics_data()).SerializeToString())
    provider.shutdown()
    return size


def sdk_points(count: int) -> tuple[int, Callable[[], int]]:
    """Return how many points of exponential histograms there are, and what encodes them."""
    reader = InMemoryMetricReader()
    # 20 values a factor of 1.2 apart: at scale 2, which 24 buckets leave, they fill 21.
    aggregation = ExponentialBucketHistogramAggregation(max_size=24)
    view = View(instrument_name="*", aggregation=aggregation)
    provider = MeterProvider([reader], views=[view])
    histogram = provider.get_meter("bench").create_histogram("duration", "ns")
    for number in range(count):
        for place in range(20):
            value = 1000 * 1.2**place
            histogram.record(value, {"process.pid": number // 5, "name": f"call_{number % 5}"})
    data = reader.get_metrics_data()
    provider.shutdown()
    count = len(data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points)
    return count, lambda: len(encode_metrics(data).SerializeToString())


def class_samples(rows: Sequence[tuple[int, int, int]]) -> int:
    """Make a sample of each (stack, thread, time) with the generated classes."""
    found: dict[tuple[int, int], Any] = {}
    profile = Profile()
    for stack, thread, ts in rows:
        sample = found.get((stack, thread))
        if sample is None:
            sample = found[stack, thread] = profile.samples.add(stack_index=stack)
            sample.attribute_indices.append(thread)
        sample.values.append(1)
        sample.timestamps_unix_nano.append(ts)
    return len(profile.SerializeToString())
