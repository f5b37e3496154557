"""Values of attributes, in protobuf and in JSON, against the generated classes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource as ResourceMessage

from workbench.errors import ImportFormatError
from workbench.formats.otlp.reading.json_messages import JsonMessages
from workbench.formats.otlp.reading.messages import WireMessages
from workbench.formats.otlp.reading.profile_schema import Resource
from workbench.formats.otlp.reading.read_values import MAX_DEPTH, of_each, pairs_of

values = st.recursive(
    st.text("ab", max_size=3)
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(width=32),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("xyz", min_size=1, max_size=2), inner, max_size=3)
    ),
    max_leaves=12,
)


class Strings:
    """Two strings that values may refer to."""

    def named(self, index, _):
        return [("", "first", "second")[at] for at in index]


def put(message: AnyValue, value: object) -> AnyValue:
    if isinstance(value, list):
        message.array_value.SetInParent()
        for each in value:
            put(message.array_value.values.add(), each)
    elif isinstance(value, dict):
        message.kvlist_value.SetInParent()
        for key, each in value.items():
            put(message.kvlist_value.values.add(key=key).value, each)
    else:
        kind = {str: "string", bool: "bool", int: "int", float: "double"}[type(value)]
        setattr(message, f"{kind}_value", value)
    return message


def in_protobuf(message):
    data = np.frombuffer(message.SerializeToString(), np.uint8)
    return WireMessages(data, np.array([0]), np.array([len(data)]))


def in_json(message):
    return JsonMessages([json.loads(json_format.MessageToJson(message))])


def read(message, way=in_protobuf):
    (found,) = pairs_of(way(message), Resource.ATTRIBUTES, np.array([0]), Strings())
    return found


@pytest.mark.parametrize("way", [in_protobuf, in_json])
@given(given_=st.dictionaries(st.text("k", min_size=1, max_size=3), values, max_size=4))
def test_what_was_written_is_read(way, given_):
    message = ResourceMessage()
    for key, value in given_.items():
        put(message.attributes.add(key=key).value, value)
    assert repr(read(message, way)) == repr(given_)  # NaN is like itself


def test_what_is_none():
    message = ResourceMessage(attributes=[KeyValue(key="empty"), KeyValue()])
    put(message.attributes.add(key="list").value, ["a"]).array_value.values.add()  # nothing in it
    put(message.attributes.add(key="pairs").value, {"": 1, "b": 2})
    put(message.attributes.add(key="b").value, 1)
    put(message.attributes.add(key="b").value, 2)
    assert read(message) == {"list": ["a"], "pairs": {"b": 2}, "b": 2}


def test_strings_of_the_dictionary():
    message = ResourceMessage()
    named = message.attributes.add(key_strindex=1)
    named.value.array_value.values.add(string_value_strindex=2)
    pair = named.value.array_value.values.add().kvlist_value.values.add(key_strindex=2)
    pair.value.int_value = 7
    assert read(message) == {"first": ["second", {"second": 7}]}


@pytest.mark.parametrize("kind", ["array", "pairs", "both"])
def test_how_deep(kind):
    for depth in (MAX_DEPTH, MAX_DEPTH + 1):
        value: object = 1
        for level in range(depth):
            lists = kind == "array" or (kind == "both" and level % 2)
            value = [value] if lists else {"k": value}
        message = ResourceMessage()
        put(message.attributes.add(key="deep").value, value)
        if depth == MAX_DEPTH:
            assert read(message) == {"deep": value}
        else:
            with pytest.raises(ImportFormatError, match="16 deep"):
                read(message)


def test_the_last_one_counts():
    assert of_each(3, ["a", "b", "c"], np.array([2, 0, 2]), None) == ["b", None, "c"]
