"""Typedefs and side tables: each has an Arrow type, a unit and a meaning, and C agrees."""

import re
from pathlib import Path

import pyarrow as pa
import pytest

from workbench import schema
from workbench.schema import DERIVED, SIDE_TABLES, TYPEDEFS, Column, arrow_field, arrow_schema

BPF = Path(__file__).parent.parent / "bpf"
WIDTH = {"__u16": 2, "__u32": 4, "__s32": 4, "__u64": 8, "__s64": 8}


def c_typedefs():
    text = "".join(path.read_text() for path in sorted(BPF.glob("*.[ch]")))
    return {n: base for base, n in re.findall(r"^typedef (__[us]\d+) (wb_\w+);", text, re.M)}


def test_every_typedef_of_the_sources_has_a_meaning_of_its_width():
    found = c_typedefs()
    assert "wb_time_ns" in found
    for name, base in found.items():
        kind = schema.arrow_type(TYPEDEFS[name].arrow)
        if not TYPEDEFS[name].arrow.startswith(("dict", "string")):  # become texts on the way
            assert kind.bit_width == 8 * WIDTH[base], name
        if pa.types.is_integer(kind):
            assert pa.types.is_signed_integer(kind) == base.startswith("__s"), name


ALL = [*(c for table in SIDE_TABLES.values() for c in table), *DERIVED.values()]


@pytest.mark.parametrize("column", [*ALL, *TYPEDEFS.values()], ids=lambda c: c.meaning[:20])
def test_everything_has_a_type_a_unit_and_a_meaning(column):
    assert isinstance(schema.arrow_type(column.arrow), pa.DataType)
    assert column.unit in ("1", "ns", "bytes")
    assert len(column.meaning) >= 4


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("timestamp", pa.timestamp("ns", tz="UTC")),
        ("duration", pa.duration("ns")),
        ("dict8", pa.dictionary(pa.int8(), pa.string())),
        ("dict32", pa.dictionary(pa.int32(), pa.string())),
        ("list_uint32", pa.list_(pa.uint32())),
        ("uint16", pa.uint16()),
    ],
)
def test_types_by_name(name, kind):
    assert schema.arrow_type(name) == kind


def test_unknown_types_are_an_error():
    with pytest.raises(ValueError, match="No type alias"):
        schema.arrow_type("colour")


def test_fields_carry_unit_and_meaning():
    field = arrow_field(Column("size", "uint64", "bytes", "how much", nullable=True))
    assert (field.name, field.type, field.nullable) == ("size", pa.uint64(), True)
    assert field.metadata == {b"unit": b"bytes", b"meaning": b"how much"}


@pytest.mark.parametrize("table", SIDE_TABLES)
def test_side_tables_have_their_key_and_unique_columns(table):
    made = arrow_schema(SIDE_TABLES[table])
    assert len(set(made.names)) == len(made)
    key = {"processes": "ts", "stacks": "stack_id", "frames": "frame_id"}[table]
    assert made.names[0] == key
    nullable = {f.name for f in made if f.nullable}
    assert (
        nullable == {"processes": {"exit_code"}, "stacks": set(), "frames": {"file", "line"}}[table]
    )


def test_dictionary_values_fit_their_index():
    assert len(schema.FRAME_KINDS) == len(set(schema.FRAME_KINDS)) < 128
    assert len(schema.PROCESS_EVENTS) == len(set(schema.PROCESS_EVENTS)) < 128
