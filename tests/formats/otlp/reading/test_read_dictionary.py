"""Dictionaries of requests: every index leads somewhere."""

from __future__ import annotations

import numpy as np
import pytest
from otlp_made import Made, dictionaries, simple

from workbench.errors import ImportFormatError
from workbench.formats.otlp.reading import read_dictionary
from workbench.formats.otlp.reading.read_dictionary import Table


def test_tables_stand_one_behind_the_other():
    table = Table(np.array([0, 0, 0, 2, 2]), 3, "things")
    assert table.rows(np.array([2, 0, 1, 0]), np.array([0, 0, 2, 1])).tolist() == [2, -1, 4, -1]
    assert table.entries(np.array([0, 1]), np.array([0, 2])).tolist() == [0, 4]
    for index, request in [(3, 0), (-1, 0), (2, 2), (1, 1)]:
        with pytest.raises(ImportFormatError, match="no entry of things"):
            table.rows(np.array([index]), np.array([request]))
    with pytest.raises(ImportFormatError, match="no entry of things"):
        table.entries(np.array([0]), np.array([1]))


def test_two_requests():
    other = Made()
    other.stack(other.location(("other", "o.c", 3)))
    found = dictionaries(other, simple())
    names = found.texts(found.functions["name"]).to_pylist()
    assert names == ["", "other", "", "small", "work", "sys_read", "handle"]
    assert found.stack_locations.tolist() == [1, 4, 3, 5, 6]
    assert found.stack_offsets.tolist() == [0, 0, 1, 1, 3, 5]
    assert found.lines["line"].tolist() == [3, 7, 9, 0, 11]
    assert found.line_offsets.tolist() == [0, 0, 1, 1, 3, 4, 4, 5]
    assert found.text(-1) == ""
    assert found.texts(found.mappings["file"]).to_pylist() == ["", "", "/bin/program"]
    assert found.trace_ids == ["", "", "01" * 16]
    assert found.span_ids == ["", "", "02" * 8]


def test_values_of_attributes():
    made = Made()
    given = ["ü", True, False, 5, -1, 1.5, b"\1", ["a", 1], []]
    for value in given:
        made.attribute("key", value, "bytes")
    kept = made.tables.attribute_table.add(key_strindex=made.text("key"))
    kept.value.string_value_strindex = made.text("referred")
    made.tables.attribute_table.add().value.kvlist_value.SetInParent()
    found = dictionaries(made)
    assert found.values == [
        None, "ü", True, False, 5, -1, 1.5, "01", ["a", 1], [], "referred", {},
    ]  # fmt: skip
    assert [type(each) for each in found.values[2:5]] == [bool, bool, int]
    assert found.key_rows("key").tolist() == [False, *[True] * 10, False]
    assert found.texts(found.units).to_pylist()[1] == "bytes"


def wrong():
    for change in (
        lambda t: t.stack_table.add(location_indices=[9]),
        lambda t: t.stack_table.add(location_indices=[-1]),
        lambda t: t.location_table.add(mapping_index=9),
        lambda t: t.location_table.add(attribute_indices=[99]),
        lambda t: t.location_table.add().lines.add(function_index=9),
        lambda t: t.function_table.add(name_strindex=99),
        lambda t: t.function_table.add(system_name_strindex=99),
        lambda t: t.function_table.add(filename_strindex=-5),
        lambda t: t.mapping_table.add(filename_strindex=99),
        lambda t: t.mapping_table.add(attribute_indices=[99]),
        lambda t: t.attribute_table.add(key_strindex=99),
        lambda t: t.attribute_table.add(unit_strindex=99),
    ):
        made = simple()
        change(made.tables)
        yield made


def test_indices_that_lead_nowhere():
    for number, made in enumerate(wrong()):
        with pytest.raises(ImportFormatError, match="leads to no entry"):
            dictionaries(made)
        with pytest.raises(ImportFormatError, match="leads to no entry"):
            dictionaries(simple(), made, simple())
        assert number < 12


def test_too_many_strings(monkeypatch):
    monkeypatch.setattr(read_dictionary, "MAX_STRINGS", 3)
    with pytest.raises(ImportFormatError, match="more than 3 strings"):
        dictionaries(simple())


def test_texts_that_are_asked_for_again_are_the_same():
    made = Made()
    made.attribute("key", 1)
    found = dictionaries(made)
    row = int(found.keys[1])
    assert found.text(row) == "key"
    assert found.text(row) is found.text(row)
