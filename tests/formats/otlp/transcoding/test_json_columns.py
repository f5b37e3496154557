"""Columns of JSON objects against protobuf's own mapping, by all ways that they are made."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, NumberDataPoint
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from otlp_json_reference import to_otlp_json
from otlp_messages import MAKERS
from otlp_strategies import messages

from workbench.formats.otlp.signals import SIGNALS
from workbench.formats.otlp.transcoding import json_columns, json_values, wire_fields
from workbench.formats.otlp.transcoding.json import encode
from workbench.formats.otlp.transcoding.json_columns import MAX_DEPTH, objects, one_object
from workbench.formats.otlp.transcoding.json_schema import plan_of
from workbench.formats.otlp.transcoding.wire_fields import PADDING
from workbench.formats.otlp.transcoding.wire_varints import Irregular


@pytest.fixture(params=[0, 10**9], ids=["in lockstep", "one by one"])
def way(request, monkeypatch):
    """Few messages as if there were many: walked in lockstep, and looked through for equals."""
    monkeypatch.setattr(wire_fields, "_FEW", request.param)
    monkeypatch.setattr(json_values, "_PROBED", 2 if request.param == 0 else 256)
    monkeypatch.setattr(json_columns, "_AT_ONCE", 3 if request.param == 0 else 8192)


def made(bodies, descriptor):
    """Objects of serialised messages, read."""
    ends = np.cumsum([0, *map(len, bodies)])
    data = np.frombuffer(b"".join(bodies) + PADDING, np.uint8)
    found = objects(plan_of(descriptor), data, ends[:-1], ends[1:]).to_pylist()
    assert all(each.endswith(b"},") for each in found)
    return [json.loads(each[:-1]) for each in found]


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("type_", [Span, Metric, AnyValue], ids=lambda each: each.__name__)
def test_any_messages(type_):
    @settings(max_examples=25)
    @given(st.lists(messages(type_.DESCRIPTOR, 3), max_size=4), st.integers(1, 3))
    def check(found, times):
        found = found * times
        bodies = [each.SerializeToString() for each in found]
        assert made(bodies, type_.DESCRIPTOR) == [to_otlp_json(each) for each in found]

    check()


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("name", SIGNALS)
def test_any_request(name):
    signal = SIGNALS[name]

    @settings(max_examples=25)
    @given(messages(signal.request().DESCRIPTOR))
    def check(message):
        got = json.loads(encode(signal, message.SerializeToString()))
        assert got == to_otlp_json(message)

    check()


@pytest.mark.parametrize("name", SIGNALS)
def test_large_requests(name):
    """Nothing is set: there are enough messages for all ways."""
    request = MAKERS[name](0, 3000)
    message = SIGNALS[name].request().FromString(request.body)
    assert json.loads(encode(SIGNALS[name], request.body)) == to_otlp_json(message)


@pytest.mark.parametrize("name", SIGNALS)
def test_requests_of_several_resources_and_scopes(name):
    message = SIGNALS[name].request()()
    for start in (0, 100, 200):
        message.MergeFromString(MAKERS[name](start, 70).body)
    body = message.SerializeToString()
    assert json.loads(encode(SIGNALS[name], body)) == to_otlp_json(message)


def test_one_object_is_in_pieces():
    span = Span(trace_id=b"\x01" * 16, name='"', kind=1)
    span.status.message = "no"
    raw = span.SerializeToString()
    found = one_object(
        plan_of(Span.DESCRIPTOR), np.frombuffer(raw + PADDING, np.uint8), 0, len(raw)
    )
    assert json.loads(b"".join(found)) == to_otlp_json(span)


@pytest.mark.parametrize("count", [1, 100])
@pytest.mark.parametrize(
    "body",
    [
        b"\x0a\x01a\x0a\x01b",  # the same field twice
        b"\x0a\x01a\x18\x01",  # two of which only one can be
        b"\x2a\x02\x0a\x00\x2a\x02\x0a\x00",  # two parts of a message
        b"\x0a\x01\xff",  # no text
    ],
)
def test_what_protobufs_classes_do_not_write(body, count):
    with pytest.raises(Irregular):
        made([body] * count, AnyValue.DESCRIPTOR)


def test_defaults_that_were_written_are_left_out_unless_they_were_set():
    zero = NumberDataPoint(as_int=0).SerializeToString()
    at_zero = b"\x19" + bytes(8)  # time_unix_nano, fixed64
    later = NumberDataPoint(time_unix_nano=7).SerializeToString()
    found = made([at_zero + zero, later, at_zero, b""], NumberDataPoint.DESCRIPTOR)
    assert found == [{"asInt": "0"}, {"timeUnixNano": "7"}, {}, {}]


def test_messages_are_nested_only_so_deep():
    value = AnyValue()
    for _ in range(MAX_DEPTH):
        outer = AnyValue()
        outer.array_value.values.add().CopyFrom(value)
        value = outer
    with pytest.raises(Irregular):
        made([value.SerializeToString()], AnyValue.DESCRIPTOR)
