"""Single fields of every type against protobuf's own mapping."""

import json

import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from google.protobuf.descriptor import FieldDescriptor
from hypothesis import given
from hypothesis import strategies as st

from workbench.formats.otlp import wire
from workbench.formats.otlp.transcoding import json_scalars
from workbench.formats.otlp.transcoding.json_schema import plan_of
from workbench.formats.otlp.transcoding.wire_fields import PADDING, Walk
from workbench.formats.otlp.transcoding.wire_varints import Irregular

I32, I64 = st.integers(-(2**31), 2**31 - 1), st.integers(-(2**63), 2**63 - 1)
U32, U64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
VALUES = {
    FieldDescriptor.TYPE_DOUBLE: st.floats(allow_nan=False),
    FieldDescriptor.TYPE_INT64: I64,
    FieldDescriptor.TYPE_SINT64: I64,
    FieldDescriptor.TYPE_SFIXED64: I64,
    FieldDescriptor.TYPE_UINT64: U64,
    FieldDescriptor.TYPE_FIXED64: U64,
    FieldDescriptor.TYPE_INT32: I32,
    FieldDescriptor.TYPE_SINT32: I32,
    FieldDescriptor.TYPE_SFIXED32: I32,
    FieldDescriptor.TYPE_UINT32: U32,
    FieldDescriptor.TYPE_FIXED32: U32,
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_STRING: st.text(),
    FieldDescriptor.TYPE_BYTES: st.binary(),
}


def message_of(type_):
    """A class of messages with one field of a type, and a list of the same."""
    pool = descriptor_pool.DescriptorPool()
    file = descriptor_pb2.FileDescriptorProto(name="a.proto", syntax="proto3")
    message = file.message_type.add(name="A")
    message.field.add(name="one", number=1, type=type_, label=1)
    message.field.add(name="many", number=2, type=type_, label=3)
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("A"))


def fields_of(messages, descriptor):
    ends = np.cumsum([0, *(each.ByteSize() for each in messages)])
    raw = b"".join(each.SerializeToString() for each in messages)
    data = np.frombuffer(raw + PADDING, np.uint8)
    plan = plan_of(descriptor)
    for key, found in Walk(data, ends[:-1], ends[1:], plan).fields():
        yield key >> 3, (plan[key], data, found)


def read(parts):
    text = b"".join(wire.join(*parts, b"").to_pylist())
    return json.loads(b"[" + text[:-1] + b"]")


@pytest.mark.parametrize("type_", VALUES)
def test_values(type_):
    make = message_of(type_)

    @given(st.lists(st.builds(make, one=VALUES[type_]), min_size=1))
    def check(messages):
        expected = [json_format.MessageToDict(each) for each in messages]
        shown = [each["one"] for each in expected if "one" in each]
        for _, found in fields_of(messages, make.DESCRIPTOR):
            assert json_scalars.not_default(*found).all()
            assert read(json_scalars.single(*found)) == shown
            shown = []
        assert shown == []

    check()


@pytest.mark.parametrize("type_", sorted(json_scalars.NUMBERS))
def test_lists_of_numbers(type_):
    if type_ == FieldDescriptor.TYPE_ENUM:  # as int32
        return
    make = message_of(type_)

    @given(st.lists(st.builds(make, many=st.lists(VALUES[type_], min_size=1)), min_size=1))
    def check(messages):
        expected = [json_format.MessageToDict(each)["many"] for each in messages]
        ((_, found),) = fields_of(messages, make.DESCRIPTOR)
        parts, counts = json_scalars.packed(*found)
        assert counts.tolist() == list(map(len, expected))
        assert read(parts) == [value for values in expected for value in values]

    check()


def test_half_a_number_of_a_list():
    make = message_of(FieldDescriptor.TYPE_FIXED64)
    field = plan_of(make.DESCRIPTOR)[2 << 3 | 2]
    data = np.frombuffer(b"\x12\x04abcd" + PADDING, np.uint8)
    ((_, found),) = Walk(data, np.array([0]), np.array([6]), plan_of(make.DESCRIPTOR)).fields()
    with pytest.raises(Irregular):
        json_scalars.packed(field, data, found)
