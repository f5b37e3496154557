"""The dictionary of profiles, cut to what is referred to: the same profiles, and nothing else."""

import pytest
from google.protobuf.descriptor import FieldDescriptor
from otlp_messages import profiles, resolved

from workbench.formats.otlp.sending.shrink import _TABLES, _plan, shrink
from workbench.formats.otlp.signals import SIGNALS

MESSAGE = SIGNALS["profiles"].request()


def test_the_same_samples_and_nothing_else():
    request = MESSAGE.FromString(profiles(0, 20, each=5).body)
    before = resolved(request)
    del request.resource_profiles[0].scope_profiles[0].profiles[1:]
    del request.resource_profiles[0].scope_profiles[0].profiles[0].samples[:3]
    shrink(request)
    assert resolved(request) == before[3:5]
    tables = request.dictionary
    # Samples 3 and 4; their stacks have the locations 2, 3 and 4.
    sizes = {name: len(getattr(tables, name)) for name in (*_TABLES.values(), "string_table")}
    assert sizes == {
        "mapping_table": 1,
        "location_table": 4,
        "function_table": 4,
        "link_table": 3,
        "attribute_table": 3,
        "stack_table": 3,
        "string_table": 1 + 2 + 3 + 2,
    }
    assert tables.string_table[0] == ""
    again = request.SerializeToString()
    shrink(request)
    assert resolved(request) == before[3:5]
    assert len(request.SerializeToString()) == len(again)


def test_whole_requests_keep_everything():
    request = MESSAGE.FromString(profiles(0, 20).body)
    before = resolved(request)
    shrink(request)
    assert resolved(request) == before
    shrink(MESSAGE())  # nothing at all is fine, too


def test_texts_of_attributes_may_be_in_the_table():
    request = MESSAGE()
    request.dictionary.string_table.extend(["", "unused", "key", "value"])
    pair = request.resource_profiles.add().resource.attributes.add(key_strindex=2)
    pair.value.string_value_strindex = 3
    shrink(request)
    assert list(request.dictionary.string_table) == ["", "key", "value"]
    assert (pair.key_strindex, pair.value.string_value_strindex) == (1, 2)


def test_an_index_of_zero_that_is_set_stays_set():
    request = MESSAGE()
    request.dictionary.string_table.append("")
    pair = request.resource_profiles.add().resource.attributes.add(key="k")
    pair.value.string_value_strindex = 0
    shrink(request)
    assert pair.value.HasField("string_value_strindex")


def test_broken_references_are_told():
    request = MESSAGE()
    request.resource_profiles.add().scope_profiles.add().profiles.add().samples.add(stack_index=9)
    with pytest.raises(ValueError, match="index 9 is outside of stack_table"):
        shrink(request)


def test_every_reference_of_the_schema_is_known():
    """Fields that name a table by their end; a new table would be noticed here."""
    seen, waiting = set(), [MESSAGE.DESCRIPTOR]
    while waiting:
        descriptor = waiting.pop()
        if descriptor.full_name in seen:
            continue
        seen.add(descriptor.full_name)
        references = {name for name, _, _ in _plan(descriptor)[0]}
        named = {
            field.name
            for field in descriptor.fields
            if field.name.endswith(("_strindex", "_index", "_indices"))
            and field.type != FieldDescriptor.TYPE_MESSAGE
        }
        assert named == references, descriptor.full_name
        waiting += [field.message_type for field in descriptor.fields if field.message_type]
    tables = {
        field.name for field in MESSAGE.DESCRIPTOR.fields_by_name["dictionary"].message_type.fields
    }
    assert tables == {*_TABLES.values(), "string_table"}
