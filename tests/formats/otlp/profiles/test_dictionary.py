"""The dictionary of a request: what is used, in new numbers."""

import numpy as np
from opentelemetry.proto.profiles.v1development.profiles_pb2 import ProfilesDictionary
from otlp_profiles import check_dictionary
from otlp_sessions import synthetic

from workbench.formats.otlp.profiles.dictionary import Dictionary, Numbering, integers, strings
from workbench.formats.otlp.profiles.symbols import Symbols


def test_numbering():
    number = Numbering([5, 2, -1, 5], 8)
    assert number([2, 5, -1, 3]).tolist() == [1, 2, 0, 0]
    assert number.used.tolist() == [2, 5]
    assert Numbering([], 3)([-1, 0]).tolist() == [0, 0]


def test_only_what_is_used_is_in_it(tmp_path):
    symbols = Symbols(synthetic(tmp_path, 10, kinds=("cpu",)), ("a type",))
    made = Dictionary(symbols, symbols.stacks([4]), ["a type", "thread.id"])
    first = made.attributes("thread.id", integers([7, -1]))
    made.links((np.array([1], np.uint64), np.array([2], np.uint64)), np.array([3], np.uint64))
    found = ProfilesDictionary.FromString(made.encoded())
    check_dictionary(found)
    assert sorted(found.string_table) == sorted(
        ["", "<module>", "a type", "handle", "job.py", "profile.frame.type", "thread.id"]
    )
    assert [a.value.int_value for a in found.attribute_table[first : first + 2]] == [7, -1]
    assert found.link_table[1].trace_id == (1).to_bytes(8, "big") + (2).to_bytes(8, "big")
    assert found.link_table[1].span_id == (3).to_bytes(8, "big")
    assert len(found.mapping_table) == 1
    assert found.string_table[made.text("a type")] == "a type"


def test_no_stack_at_all(tmp_path):
    symbols = Symbols(synthetic(tmp_path, 10, kinds=("cpu",)))
    made = Dictionary(symbols, [-1, -1], [])
    found = ProfilesDictionary.FromString(made.encoded())
    check_dictionary(found)
    assert {len(getattr(found, field.name)) for field in found.DESCRIPTOR.fields} == {1}


def test_values():
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue

    assert [AnyValue.FromString(raw).string_value for raw in strings(["a", ""]).to_pylist()] == [
        "a",
        "",
    ]
    assert AnyValue.FromString(integers([-5]).to_pylist()[0]).int_value == -5
