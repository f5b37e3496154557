"""Columns of records: types, nulls and texts."""

import numpy as np
import pyarrow as pa
from planning import planned

from workbench.probing.columns import arrow_field, dtype_of, meaning, text_array, values


def test_types_units_and_meanings():
    made = planned(fields=["a", "str(path, 9)", "b", "latency"])
    fields = {each.name: arrow_field(each) for each in made.columns}
    assert fields["a"].type == pa.int8()
    assert fields["path"].type == pa.string()
    assert fields["latency"].type == pa.duration("ns")
    assert fields["latency"].metadata[b"unit"] == b"ns"
    assert [fields[n].nullable for n in ("a", "path", "latency")] == [False, True, False]
    told = {each.name: meaning(each) for each in made.columns}
    assert told["a"] == "a (i8, type by DWARF)"
    assert "null where it could not be read" in told["path"]
    assert {each.name: dtype_of(each).str for each in made.columns} == {
        "a": "|i1", "path": "|S9", "b": "<u8", "latency": "<u8",
    }  # fmt: skip


def test_what_could_not_be_read_is_null():
    made = planned(fields=["deep=i32p(arg5)[0]", "str(path, 4)", "a"])
    bits = {each.name: each.bit for each in made.columns}
    kinds = {each.name: dtype_of(each) for each in made.columns}
    records = np.zeros(3, [("pad_missing", "<u4"), *kinds.items()])
    records["deep"], records["path"] = [1, 0, 3], [b"one", b"", b"xyz"]
    assert set(values(records, made.columns)) == {"path"}  # no other conversion is needed
    records["pad_missing"] = [0, 1 << bits["deep"] | 1 << bits["path"], 0]
    found = values(records, made.columns)
    assert found["deep"].to_pylist() == [1, None, 3]
    assert found["path"].to_pylist() == ["one", None, "xyz"]
    assert "a" not in found


def test_texts():
    data = np.array([b"plain", "wörld".encode(), b"", b"cut\0"], "S8")
    none = np.zeros(4, bool)
    assert text_array(data, none).to_pylist() == ["plain", "wörld", "", "cut"]
    bad = np.array([b"ok", b"\xff\xfe", b"x"], "S8")
    assert text_array(bad, none[:3]).to_pylist() == ["ok", "\ufffd\ufffd", "x"]
    assert text_array(bad, np.array([0, 1, 0], bool)).to_pylist() == ["ok", None, "x"]
    assert text_array(data[:0], none[:0]).to_pylist() == []
