"""Plans of messages against the descriptors that they are made of."""

import pytest
from google.protobuf.descriptor import FieldDescriptor

from workbench.formats.otlp.signals import SIGNALS
from workbench.formats.otlp.transcoding import json_scalars
from workbench.formats.otlp.transcoding.json_schema import HEX_FIELDS, plan_of


def descriptors():
    """All types of messages in the requests of all signals."""
    left, found = [each.request().DESCRIPTOR for each in SIGNALS.values()], {}
    while left:
        descriptor = left.pop()
        if descriptor.full_name not in found:
            found[descriptor.full_name] = descriptor
            left += [f.message_type for f in descriptor.fields if f.message_type is not None]
    return found.values()


def test_every_field_has_one_key_and_a_way_to_be_written():
    written = {
        FieldDescriptor.TYPE_MESSAGE,
        FieldDescriptor.TYPE_STRING,
        FieldDescriptor.TYPE_BYTES,
        *json_scalars.NUMBERS,
    }
    assert len(descriptors()) > 30
    for descriptor in descriptors():
        plan = plan_of(descriptor)
        assert len(plan) == len(descriptor.fields)
        assert {key >> 3 for key in plan} == {field.number for field in descriptor.fields}
        assert {field.type for field in plan.values()} <= written


@pytest.mark.parametrize("name", SIGNALS)
def test_keys_are_those_that_protobuf_writes(name):
    """The first bytes of a message with one field are its key."""
    request = SIGNALS[name].request()
    for descriptor in descriptors():
        if descriptor.full_name == request.DESCRIPTOR.full_name:
            message = request()
            for field in descriptor.fields:
                part = request()
                if field.is_repeated:
                    getattr(part, field.name).add()
                else:
                    getattr(part, field.name).SetInParent()
                assert part.SerializeToString()[0] in plan_of(descriptor)
            assert message.SerializeToString() == b""


def test_ids_are_hex():
    found = {field.name: entry for field, entry in entries() if entry.hexadecimal}
    assert set(found) == HEX_FIELDS
    assert all(entry.type == FieldDescriptor.TYPE_BYTES for entry in found.values())


def test_lists_of_numbers_are_packed():
    for field, entry in entries():
        texts = (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES)
        number = field.message_type is None and field.type not in texts
        assert entry.packed == (field.is_repeated and number)


def entries():
    """Fields of all messages with their plans."""
    for descriptor in descriptors():
        plan = {key >> 3: entry for key, entry in plan_of(descriptor).items()}
        yield from ((field, plan[field.number]) for field in descriptor.fields)


def test_a_plan_leads_to_the_plans_of_what_a_message_holds():
    request = SIGNALS["traces"].request().DESCRIPTOR
    (resource_spans,) = plan_of(request).values()
    assert resource_spans.name == b'"resourceSpans":'
    names = [each.name for each in resource_spans.plan.values()]
    assert names == [b'"resource":', b'"scopeSpans":', b'"schemaUrl":']
