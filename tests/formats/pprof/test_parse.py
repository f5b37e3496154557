"""Profiles become columns; what leads nowhere is refused."""

from __future__ import annotations

import profile_pb
import pytest

from workbench.errors import ImportFormatError
from workbench.formats.pprof import parse as module
from workbench.formats.pprof.parse import parse


def test_everything_is_there():
    parsed = parse(profile_pb.small().SerializeToString())
    assert [(parsed.text(a), parsed.text(b)) for a, b in parsed.types] == [
        ("samples", "count"),
        ("cpu", "nanoseconds"),
    ]
    assert parsed.values.tolist()[2] == [-2, -20_000_000]
    assert parsed.offsets.tolist() == [0, 3, 5, 6, 9, 9]
    assert parsed.flat.tolist() == [2, 1, 0, 3, 0, 4, 5, 5, 0]  # rows, not ids
    assert parsed.locations["mapping"].tolist() == [0, 0, 1, 0, -1, 0]
    assert parsed.line_offsets.tolist() == [0, 1, 3, 4, 4, 5, 6]
    assert parsed.lines["line"].tolist() == [5, 7, 9, 0, 11, 0]
    assert parsed.lines["column"].tolist() == [0, 3, 0, 0, 0, 0]
    assert parsed.labels["sample"].tolist() == [0] * 5 + [2]
    assert parsed.header["period"] == 10_000_000
    assert [parsed.text(one) for one in parsed.comments] == ["first", "second"]


def changed(**changes):
    """The small profile, with something changed by a function."""
    made = profile_pb.small()
    for change in changes.values():
        change(made)
    return made.SerializeToString()


DAMAGED = {
    "no strings": (lambda p: p.ClearField("string_table"), "no table of strings"),
    "first string": (lambda p: p.string_table.__setitem__(0, "x"), "first string is not empty"),
    "name": (lambda p: setattr(p.function[0], "name", 999), "not in the table of strings"),
    "negative": (lambda p: setattr(p.function[0], "filename", -1), "not in the table"),
    "unit": (lambda p: setattr(p.sample_type[0], "unit", 999), "not in the table"),
    "file": (lambda p: setattr(p.mapping[0], "filename", 999), "not in the table"),
    "comment": (lambda p: p.comment.append(1 << 60), "not in the table"),
    "default": (lambda p: setattr(p, "default_sample_type", 999), "not in the table"),
    "label": (lambda p: setattr(p.sample[0].label[0], "key", 999), "not in the table"),
    "period": (lambda p: setattr(p.period_type, "type", 999), "not in the table"),
    "location": (lambda p: p.sample[0].location_id.append(77), "no location with the id 77"),
    "location 0": (lambda p: p.sample[0].location_id.append(0), "no location with the id 0"),
    "function": (lambda p: setattr(p.location[0].line[0], "function_id", 77), "no function"),
    "mapping": (lambda p: setattr(p.location[0], "mapping_id", 77), "no mapping"),
    "same id": (lambda p: setattr(p.location[0], "id", 2), "two locations have the same id"),
    "id 0": (lambda p: setattr(p.function[0], "id", 0), "a function has the id 0"),
    "values": (lambda p: p.sample[1].value.append(1), "has not 2 values"),
    "no types": (lambda p: p.ClearField("sample_type"), "does not say what its values are"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_what_leads_nowhere(name):
    change, said = DAMAGED[name]
    with pytest.raises(ImportFormatError, match=said):
        parse(changed(change=change))


def test_texts_that_are_no_utf8():
    content = profile_pb.small().SerializeToString().replace(b"worker", b"w\xff\xferk\xc3")
    parsed = parse(content)
    assert "w\ufffd\ufffdrk\ufffd" in parsed.strings.to_pylist()


def test_too_many_strings(monkeypatch):
    monkeypatch.setattr(module, "MAX_STRINGS", 5)
    with pytest.raises(ImportFormatError, match="more than 5 strings"):
        parse(profile_pb.small().SerializeToString())


def test_nothing_is_no_profile():
    with pytest.raises(ImportFormatError, match="no table of strings"):
        parse(b"")
