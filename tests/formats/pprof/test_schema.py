"""The numbers of the fields are those of the messages that the protobuf library knows."""

from __future__ import annotations

import profile_pb
import pytest

from workbench.formats.pprof import schema

MESSAGES = {"Profile": profile_pb.Profile.DESCRIPTOR} | {
    field.message_type.name: field.message_type
    for outer in (profile_pb.Profile.DESCRIPTOR, profile_pb.Profile.DESCRIPTOR.fields[1].message_type, profile_pb.Profile.DESCRIPTOR.fields[3].message_type)
    for field in outer.fields
    if field.message_type
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_fields_have_their_numbers(name):
    own = {field.name.lower(): int(field) for field in getattr(schema, name)}
    assert own == {field.name: field.number for field in MESSAGES[name].fields}
    assert max(own.values()) <= 15  # one byte
