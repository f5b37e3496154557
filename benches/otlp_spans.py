"""The spans that are sent: as a request of the generated classes, and as the SDK has them."""

from __future__ import annotations

from typing import Any

PER_REQUEST = 8192
"""Spans in a request: with four attributes each, 1.3 MB."""


def attributes(number: int) -> dict[str, Any]:
    """Four attributes of a span, two numbers and two texts."""
    return {
        "thread.id": 1000 + number % 17,
        "thread.name": f"worker-{number % 17}",
        "syscall.name": ("read", "write", "futex", "epoll_wait")[number % 4],
        "syscall.result": number % 4096,
    }


def request(start: int) -> Any:
    """Return an ExportTraceServiceRequest of the generated classes."""
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

    message = trace_service_pb2.ExportTraceServiceRequest()
    resource = message.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "bench"
    spans = resource.scope_spans.add().spans
    for number in range(start, start + PER_REQUEST):
        span = spans.add(
            trace_id=(number // 100 + 1).to_bytes(16, "big"),
            span_id=(number + 1).to_bytes(8, "big"),
            name="read",
            kind=1,
            start_time_unix_nano=1_700_000_000_000_000_000 + number * 1000,
            end_time_unix_nano=1_700_000_000_000_000_500 + number * 1000,
        )
        for key, value in attributes(number).items():
            target = span.attributes.add(key=key).value
            if isinstance(value, int):
                target.int_value = value
            else:
                target.string_value = value
    return message


def sdk_spans(start: int) -> list[Any]:
    """Return the same spans as the SDK has them when it exports."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, SpanKind

    resource, scope = Resource({"service.name": "bench"}), InstrumentationScope("bench")
    return [
        ReadableSpan(
            "read",
            context=SpanContext(number // 100 + 1, number + 1, is_remote=False),
            resource=resource,
            instrumentation_scope=scope,
            attributes=attributes(number),
            kind=SpanKind.INTERNAL,
            start_time=1_700_000_000_000_000_000 + number * 1000,
            end_time=1_700_000_000_000_000_500 + number * 1000,
        )
        for number in range(start, start + PER_REQUEST)
    ]
