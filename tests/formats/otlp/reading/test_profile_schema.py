"""The fields have the numbers and the names of the generated classes."""

from __future__ import annotations

import inspect

import pytest
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.profiles.v1development import profiles_pb2
from opentelemetry.proto.resource.v1 import resource_pb2

from workbench.formats.otlp.reading import profile_schema
from workbench.formats.otlp.reading.profile_schema import Field

MESSAGES = [
    each
    for name, each in vars(profile_schema).items()
    if inspect.isclass(each) and each is not Field and name != "NamedTuple"
]
SHORT = {"STRING": "string_value", "BOOL": "bool_value", "INT": "int_value",
         "DOUBLE": "double_value", "ARRAY": "array_value", "KVLIST": "kvlist_value",
         "BYTES": "bytes_value", "STRING_STRINDEX": "string_value_strindex"}  # fmt: skip


@pytest.mark.parametrize("message", MESSAGES)
def test_fields(message):
    modules = (profiles_pb2, common_pb2, resource_pb2)
    (made,) = [
        getattr(each, message.__name__) for each in modules if hasattr(each, message.__name__)
    ]
    fields = {name: field for name, field in vars(message).items() if isinstance(field, Field)}
    assert fields
    for name, field in fields.items():
        known = made.DESCRIPTOR.fields_by_name[
            SHORT[name] if message.__name__ == "AnyValue" else name.lower()
        ]
        assert field == (known.number, known.json_name)


def test_there_are_messages():
    assert len(MESSAGES) == 20
