"""What others take for the same: OpenTelemetry's Python SDK, and protobuf's generated classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf.json_format import MessageToJson
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.profiles.v1development.profiles_pb2 import ProfilesData
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


def protobuf(message: Any) -> int:
    """Serialise a message; return its bytes."""
    return len(message.SerializeToString())


def text(message: Any) -> int:
    """Write a message as JSON, as protobuf's own mapping has it; return its bytes.

    The SDK has no exporter for JSON, and OTLP's hex ids would take a further step: it is not
    taken, which favours the peer.
    """
    return len(MessageToJson(message, indent=None, use_integers_for_enums=True).encode())


def sdk_spans(rows: Sequence[dict[str, Any]], write: Callable[[Any], int] = protobuf) -> int:
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
        size += write(encode_spans(kept.get_finished_spans()))
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


def sdk_points(count: int, write: Callable[[Any], int] = protobuf) -> tuple[int, Callable[[], int]]:
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
    return count, lambda: write(encode_metrics(data))


def class_samples(
    samples: Sequence[tuple[int, int, int]],
    stacks: Sequence[Sequence[int]],
    frames: Sequence[dict[str, Any]],
    write: Callable[[Any], int] = protobuf,
) -> int:
    """Make profiles of (stack, thread, time) with the generated classes, and their dictionary.

    The SDK has no profiles: this is what an exporter in Python that uses the classes takes.

    Parameters
    ----------
    samples : sequence of (int, int, int)
        Numbers of the stack and of the thread, ns.
    stacks : sequence of sequence of int
        Numbers of frames.
    frames : sequence of dict
        ``function``, ``file``, ``line``, ``module`` and ``offset``.
    write : callable
        What is done with the message.
    """
    data = ProfilesData()
    profile = data.resource_profiles.add().scope_profiles.add().profiles.add()
    found: dict[tuple[int, int], Any] = {}
    for stack, thread, ts in samples:
        sample = found.get((stack, thread))
        if sample is None:
            sample = found[stack, thread] = profile.samples.add(stack_index=stack + 1)
            sample.attribute_indices.append(thread % 64 + 1)
        sample.values.append(1)
        sample.timestamps_unix_nano.append(ts)
    _dictionary(data.dictionary, stacks, frames)
    return write(data)


def _dictionary(
    made: Any, stacks: Sequence[Sequence[int]], frames: Sequence[dict[str, Any]]
) -> None:
    strings: dict[str, int] = {"": 0}
    mappings: dict[str, int] = {}
    for table in ("mapping", "location", "function", "stack", "attribute"):
        getattr(made, f"{table}_table").add()
    for frame in frames:
        name, file, module = (
            strings.setdefault(frame[key], len(strings)) for key in ("function", "file", "module")
        )
        if frame["module"] not in mappings:
            mappings[frame["module"]] = len(made.mapping_table)
            made.mapping_table.add(filename_strindex=module)
        function = len(made.function_table)
        made.function_table.add(name_strindex=name, filename_strindex=file)
        location = made.location_table.add(
            mapping_index=mappings[frame["module"]], address=frame["offset"]
        )
        location.lines.add(function_index=function, line=frame["line"])
    for stack in stacks:
        made.stack_table.add(location_indices=[frame + 1 for frame in stack])
    key = strings.setdefault("thread.id", len(strings))
    for thread in range(64):
        made.attribute_table.add(key_strindex=key).value.int_value = thread
    made.string_table.extend(strings)
