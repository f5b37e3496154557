"""The numbers of the fields are those of the messages that the protobuf library knows."""

from __future__ import annotations

import profile_pb
import pytest

from workbench.formats.pprof import schema

OUTER = profile_pb.Profile.DESCRIPTOR


def messages(descriptor):
    """The message and all that it holds, by name."""
    found = {descriptor.name: descriptor}
    for field in descriptor.fields:
        found |= messages(field.message_type) if field.message_type else {}
    return found


MESSAGES = messages(OUTER)


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_fields_have_their_numbers(name):
    own = {field.name.lower(): int(field) for field in getattr(schema, name)}
    assert own == {field.name: field.number for field in MESSAGES[name].fields}
    assert max(own.values()) <= 15  # one byte
