"""Requests of OTLP for tests, made with the generated classes, and what identifies their items."""

from __future__ import annotations

from collections import Counter
from typing import Any

from workbench.formats.otlp.request import Request
from workbench.formats.otlp.signals import SIGNALS, items_of


def attribute(target: Any, key: str, value: Any) -> None:
    kind = {str: "string_value", bool: "bool_value", int: "int_value", float: "double_value"}
    setattr(target.add(key=key).value, kind[type(value)], value)


def traces(start: int = 0, count: int = 10, *, text: int = 0) -> Request:
    """`count` spans with ids from `start`, spread over two resources."""
    message = SIGNALS["traces"].request()()
    for part in range(min(2, count) or 1):
        resource = message.resource_spans.add(schema_url="https://opentelemetry.io/schemas/1.36.0")
        attribute(resource.resource.attributes, "service.name", f"part-{part}")
        scope = resource.scope_spans.add()
        scope.scope.name = "tests"
        for number in range(start + part, start + count, 2):
            span = scope.spans.add(
                trace_id=(number // 7 + 1).to_bytes(16, "big"),
                span_id=(number + 1).to_bytes(8, "big"),
                parent_span_id=(number // 7 + 1).to_bytes(8, "big"),
                name=f"read {number}",
                kind=3,
                start_time_unix_nano=1_700_000_000_000_000_000 + number,
                end_time_unix_nano=1_700_000_000_000_001_000 + number,
            )
            attribute(span.attributes, "text", "x" * text)
            attribute(span.attributes, "thread.id", number)
    return Request("traces", count, message.SerializeToString())


def metrics(start: int = 0, count: int = 10) -> Request:
    """`count` data points of all five kinds of metrics, and a metric with none."""
    message = SIGNALS["metrics"].request()()
    scope = message.resource_metrics.add().scope_metrics.add()
    for number in range(start, start + count):
        if number % 5 == 0 or not scope.metrics:
            kinds = {
                kind: getattr(scope.metrics.add(name=f"{kind} {number}"), kind)
                for kind in ("gauge", "sum", "histogram", "exponential_histogram", "summary")
            }
        data = list(kinds.values())[number % 5]
        data.data_points.add(time_unix_nano=number + 1)
    scope.metrics.add(name="without data")
    return Request("metrics", count, message.SerializeToString())


def logs(start: int = 0, count: int = 10) -> Request:
    message = SIGNALS["logs"].request()()
    scope = message.resource_logs.add().scope_logs.add()
    for number in range(start, start + count):
        record = scope.log_records.add(time_unix_nano=number + 1, severity_number=9)
        record.body.string_value = f"line {number}"
    return Request("logs", count, message.SerializeToString())


def profiles(start: int = 0, count: int = 10, *, each: int = 5, text: int = 8) -> Request:
    """`count` samples in profiles of `each`, every one with a stack and names of its own."""
    message = SIGNALS["profiles"].request()()
    tables = message.dictionary
    tables.string_table.extend(["", "samples", "count"])
    for name in ("mapping", "location", "function", "link", "attribute", "stack"):
        getattr(tables, f"{name}_table").add()
    scope = message.resource_profiles.add().scope_profiles.add()
    for number in range(start, start + count):
        if not (number - start) % each:
            profile = scope.profiles.add(profile_id=(number + 1).to_bytes(16, "big"))
            profile.sample_type.type_strindex = 1
            profile.sample_type.unit_strindex = 2
        index = number - start + 1
        tables.string_table.extend([f"function {number} {'y' * text}", f"key {number}"])
        tables.function_table.add(name_strindex=2 * index + 1)
        tables.location_table.add(address=number + 1).lines.add(function_index=index, line=number)
        tables.stack_table.add(location_indices=[index, max(1, index - 1)])
        tables.link_table.add(trace_id=(number + 1).to_bytes(16, "big"))
        pair = tables.attribute_table.add(key_strindex=2 * index + 2)
        pair.value.int_value = number
        profile.samples.add(
            stack_index=index,
            attribute_indices=[index],
            link_index=index,
            values=[number],
            timestamps_unix_nano=[number + 1],
        )
    return Request("profiles", count, message.SerializeToString())


MAKERS = {"traces": traces, "metrics": metrics, "logs": logs, "profiles": profiles}


def items(signal: str, message: Any) -> list[Any]:
    """All items of a request, in order."""
    found = [message]
    for field in SIGNALS[signal].levels:
        found = [child for parent in found for child in items_of(parent, field)]
    return found


def identities(signal: str, message: Any) -> Counter[int]:
    """The numbers that the makers gave to the items of a request."""
    get = {
        "traces": lambda item: int.from_bytes(item.span_id, "big") - 1,
        "metrics": lambda item: item.time_unix_nano - 1,
        "logs": lambda item: item.time_unix_nano - 1,
        "profiles": lambda item: item.values[0],
    }[signal]
    return Counter(map(get, items(signal, message)))


def resolved(request):
    """Samples with all that they refer to, as values."""
    tables = request.dictionary
    text = tables.string_table

    def attribute(index):
        found = tables.attribute_table[index]
        return (text[found.key_strindex], found.value.SerializeToString())

    def location(index):
        found = tables.location_table[index]
        names = [
            text[tables.function_table[line.function_index].name_strindex] for line in found.lines
        ]
        return (found.address, names, [attribute(i) for i in found.attribute_indices])

    result = []
    for resource in request.resource_profiles:
        for scope in resource.scope_profiles:
            for profile in scope.profiles:
                kind = text[profile.sample_type.type_strindex]
                for sample in profile.samples:
                    stack = tables.stack_table[sample.stack_index]
                    result.append(
                        (
                            kind,
                            list(sample.values),
                            [location(index) for index in stack.location_indices],
                            [attribute(index) for index in sample.attribute_indices],
                            tables.link_table[sample.link_index].trace_id,
                        )
                    )
    return result
