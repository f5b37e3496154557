"""OTLP JSON beside protobuf's own mapping with its ids turned to hex."""

import json

import pytest
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st
from otlp_json_reference import from_otlp_json, to_otlp_json
from otlp_messages import MAKERS
from otlp_strategies import messages

from workbench.errors import ExportError
from workbench.formats.otlp.signals import SIGNALS
from workbench.formats.otlp.transcoding.json import encode

TRACES, METRICS = SIGNALS["traces"], SIGNALS["metrics"]


@pytest.mark.parametrize("name", SIGNALS)
def test_made_requests(name):
    request = MAKERS[name](5, 12)
    message = SIGNALS[name].request().FromString(request.body)
    got = json.loads(encode(SIGNALS[name], request.body))
    assert got == to_otlp_json(message)
    assert from_otlp_json(got, SIGNALS[name].request()()) == message


@pytest.mark.parametrize("name", SIGNALS)
def test_any_request(name):
    signal = SIGNALS[name]

    @settings(max_examples=60)
    @given(messages(signal.request().DESCRIPTOR))
    def check(message):
        body = message.SerializeToString(deterministic=True)
        text = encode(signal, body)
        assert b"\n" not in text
        got = json.loads(text)
        assert got == to_otlp_json(message)
        back = from_otlp_json(got, signal.request()())
        assert back.SerializeToString(deterministic=True) == body

    check()


def test_the_example_of_the_specification():
    """Ids, enums, times and attributes as opentelemetry-proto/examples/trace.json has them."""
    message = TRACES.request()()
    span = (
        message.resource_spans.add()
        .scope_spans.add()
        .spans.add(
            trace_id=bytes.fromhex("5B8EFFF798038103D269B633813FC60C"),
            span_id=bytes.fromhex("EEE19B7EC3C1B174"),
            parent_span_id=bytes.fromhex("EEE19B7EC3C1B173"),
            name="I'm a server span",
            start_time_unix_nano=1544712660000000000,
            end_time_unix_nano=1544712661000000000,
            kind=2,
        )
    )
    span.attributes.add(key="my.span.attr").value.string_value = "some value"
    span.attributes.add(key="n").value.int_value = 0  # set, though it is the default
    (got,) = json.loads(encode(TRACES, message.SerializeToString()))["resourceSpans"]
    assert got == {
        "scopeSpans": [
            {
                "spans": [
                    {
                        "traceId": "5b8efff798038103d269b633813fc60c",
                        "spanId": "eee19b7ec3c1b174",
                        "parentSpanId": "eee19b7ec3c1b173",
                        "name": "I'm a server span",
                        "startTimeUnixNano": "1544712660000000000",
                        "endTimeUnixNano": "1544712661000000000",
                        "kind": 2,
                        "attributes": [
                            {"key": "my.span.attr", "value": {"stringValue": "some value"}},
                            {"key": "n", "value": {"intValue": "0"}},
                        ],
                    }
                ]
            }
        ]
    }


def test_what_json_has_no_numbers_for():
    message = METRICS.request()()
    points = message.resource_metrics.add().scope_metrics.add().metrics.add().gauge.data_points
    for value in (float("nan"), float("inf"), float("-inf"), 0.1, 3.0):
        points.add(as_double=value)
    text = encode(METRICS, message.SerializeToString())
    got = json.loads(text)["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]["gauge"]
    values = [point["asDouble"] for point in got["dataPoints"]]
    assert values == ["NaN", "Infinity", "-Infinity", 0.1, 3.0]


def test_bytes_that_are_no_ids_are_base64():
    message = SIGNALS["logs"].request()()
    record = message.resource_logs.add().scope_logs.add().log_records.add()
    record.body.bytes_value = b"\xff\xfe"
    assert b'"bytesValue":"//4="' in encode(SIGNALS["logs"], message.SerializeToString())


def test_an_empty_request_is_an_empty_object():
    assert encode(TRACES, b"") == b"{}"


def test_padded_varints_are_the_same_request():
    """Protobuf permits them, and templates use them."""
    span = b"\x12\x88\x80\x00" + bytes(8)  # span_id, its length padded to three bytes
    scope = b"\x12" + bytes([len(span)]) + span
    resource = b"\x12" + bytes([len(scope)]) + scope
    body = b"\x0a" + bytes([len(resource)]) + resource
    message = TRACES.request().FromString(body)
    assert message.ByteSize() < len(body)
    assert json.loads(encode(TRACES, body)) == to_otlp_json(message)


@pytest.mark.parametrize("deep", [False, True])
def test_unknown_fields_are_not_lost_silently(deep):
    unknown = b"\xfa\x3f\x01a"  # field 1023, of a schema to come
    body = b"\x0a\x04" + unknown if deep else unknown
    with pytest.raises(ExportError, match="does not know") as caught:
        encode(TRACES, body)
    assert "Upgrade" in caught.value.advice


@given(st.binary(max_size=60))
def test_no_bytes_end_in_another_error(body):
    try:
        got = encode(TRACES, body)
    except ExportError:
        return
    json_format.Parse(got, TRACES.request()(), ignore_unknown_fields=True)


def test_what_is_no_request_is_told():
    with pytest.raises(ExportError, match="no request of traces"):
        encode(TRACES, b"\x0a\xff")


def test_a_request_that_is_too_large(monkeypatch):
    monkeypatch.setattr("workbench.formats.otlp.transcoding.json.MAX_BYTES", 9)
    with pytest.raises(ExportError, match="has 10 bytes") as caught:
        encode(TRACES, bytes(10))
    assert "max_bytes" in caught.value.advice
