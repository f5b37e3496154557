"""Messages in protobuf as columns."""

from __future__ import annotations

import numpy as np
import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.profiles.v1development.profiles_pb2 import Profile, Sample, ValueType

from workbench.errors import ImportFormatError
from workbench.formats.otlp.reading import profile_schema as of
from workbench.formats.otlp.reading.messages import WireMessages


def wire(*messages):
    bodies = [each if isinstance(each, bytes) else each.SerializeToString() for each in messages]
    ends = np.cumsum([len(each) for each in bodies])
    starts = ends - [len(each) for each in bodies]
    return WireMessages(np.frombuffer(b"".join(bodies), np.uint8), starts, ends)


def test_numbers_and_lists():
    found = wire(
        Sample(stack_index=5, values=[1, -2], timestamps_unix_nano=[7, 1 << 62]),
        Sample(),
        Sample(stack_index=-1, values=[3]),
    )
    assert len(found) == 3
    assert found.numbers(of.Sample.STACK_INDEX).tolist() == [5, 0, -1]
    flat, offsets = found.number_lists(of.Sample.VALUES)
    assert (flat.tolist(), offsets.tolist()) == ([1, -2, 3], [0, 2, 2, 3])
    flat, offsets = found.time_lists(of.Sample.TIMESTAMPS_UNIX_NANO)
    assert (flat.tolist(), offsets.tolist()) == ([7, 1 << 62], [0, 2, 2, 2])
    times = wire(Profile(time_unix_nano=9), Profile()).times(of.Profile.TIME_UNIX_NANO)
    assert times.tolist() == [9, 0]


def test_times_may_stand_alone():
    """A repeated field may come packed or not, in parts of both."""
    one = b"\x29" + (5).to_bytes(8, "little")
    packed = b"\x2a\x10" + (6).to_bytes(8, "little") + (7).to_bytes(8, "little")
    flat, offsets = wire(one + packed + one, packed).time_lists(of.Sample.TIMESTAMPS_UNIX_NANO)
    assert flat.tolist() == [5, 6, 7, 5, 6, 7]
    assert offsets.tolist() == [0, 4, 6]


def test_children():
    profiles = wire(
        Profile(samples=[Sample(stack_index=1), Sample(stack_index=2)]),
        Profile(sample_type=ValueType(type_strindex=3)),
    )
    samples, owner = profiles.children(of.Profile.SAMPLES)
    assert samples.numbers(of.Sample.STACK_INDEX).tolist() == [1, 2]
    assert owner.tolist() == [0, 0]
    types, owner = profiles.children(of.Profile.SAMPLE_TYPE)
    assert (types.numbers(of.ValueType.TYPE_STRINDEX).tolist(), owner.tolist()) == ([3], [1])


def test_texts_and_values():
    texts, owner = wire(KeyValue(key="ü"), KeyValue(), KeyValue(key="b")).texts(of.KeyValue.KEY)
    assert (texts, owner.tolist()) == (["ü", "b"], [0, 2])
    assert wire(b"\x0a\x01\xff").texts(of.KeyValue.KEY)[0] == ["\ufffd"]
    found = wire(
        AnyValue(int_value=0), AnyValue(bool_value=True), AnyValue(double_value=1.5),
        AnyValue(bytes_value=b"\1\xff"),
    )  # fmt: skip
    told = [(of.AnyValue.INT, "int"), (of.AnyValue.BOOL, "bool"), (of.AnyValue.DOUBLE, "double"),
            (of.AnyValue.BYTES, "bytes")]  # fmt: skip
    values = [found.given(field, kind) for field, kind in told]
    assert [each for each, _ in values] == [[0], [True], [1.5], ["01ff"]]
    assert [owner.tolist() for _, owner in values] == [[0], [1], [2], [3]]


def test_wrong_types():
    for body, read in [
        (b"\x28\1", lambda m: m.time_lists(of.Sample.TIMESTAMPS_UNIX_NANO)),
        (b"\x2a\1\1", lambda m: m.time_lists(of.Sample.TIMESTAMPS_UNIX_NANO)),
        (b"\x1a\0", lambda m: m.given(of.AnyValue.INT, "int")),
        (b"\x08\1", lambda m: m.texts(of.KeyValue.KEY)),
        (b"\x0a\0", lambda m: m.numbers(of.Sample.STACK_INDEX)),
    ]:
        with pytest.raises(ImportFormatError):
            read(wire(body))
