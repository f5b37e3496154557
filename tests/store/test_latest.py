from __future__ import annotations

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.store import latest as module
from workbench.store.columns import side_schema
from workbench.store.latest import latest

SCHEMA = pa.schema({"pid": pa.uint32(), "nr": pa.uint16(), "calls": pa.uint64()})


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 3) | st.just(2**32 - 1), st.integers(0, 3)), max_size=8)
    )
)
def test_last_row_per_key(batches):
    count = 0
    expected, written = {}, []
    for keys in batches:
        rows = []
        for pid, nr in keys:
            count += 1
            rows.append({"pid": pid, "nr": nr, "calls": count})
            expected[pid, nr] = rows[-1]
        written.append(pa.RecordBatch.from_pylist(rows, schema=SCHEMA))
    found = latest("syscalls_agg", SCHEMA, written)
    assert found.to_pylist() == [expected[key] for key in sorted(expected)]


WIDE = pa.schema(
    {
        "pid": pa.uint32(),
        "device": pa.dictionary(pa.int32(), pa.string()),
        "op": pa.dictionary(pa.int8(), pa.string()),
        "size_class": pa.uint16(),
        "requests": pa.uint64(),
    }
)


@given(
    st.lists(
        st.lists(
            st.tuples(
                st.integers(0, 2**32 - 1) | st.integers(0, 1),
                st.sampled_from(["vda", "sda", "7:0", "\u00e9"]),
                st.sampled_from(["read", "write"]),
                st.sampled_from([0, 12, 2**16 - 1]),
            ),
            max_size=6,
        )
    )
)
def test_keys_of_many_columns_and_of_texts(batches):
    expected, written, names = {}, [], WIDE.names
    for keys in batches:
        rows = [
            dict(zip(names, (*key, len(expected) + n), strict=True)) for n, key in enumerate(keys)
        ]
        expected |= {tuple(row.values())[:-1]: row for row in rows}
        written.append(pa.RecordBatch.from_pylist(rows, schema=WIDE))
    found = latest("block_agg", WIDE, written).to_pylist()
    assert found == [expected[key] for key in sorted(expected)]


def test_memory_is_bounded_by_dropping_replaced_rows(monkeypatch):
    monkeypatch.setattr(module, "_PENDING", 10)
    sizes = []
    original = module._last
    monkeypatch.setattr(
        module, "_last", lambda t, rows: sizes.append(len(rows)) or original(t, rows)
    )
    batch = pa.RecordBatch.from_pylist([{"pid": 1, "nr": n, "calls": n} for n in range(5)], SCHEMA)
    assert latest("syscalls_agg", SCHEMA, [batch] * 100).num_rows == 5
    assert max(sizes) <= 25


def test_texts_and_dictionaries_survive():
    schema = side_schema("frames")
    row = {"frame_id": 7, "function": "f", "file": None, "line": None, "module": "m",
           "build_id": "", "offset": 1, "kind": "native"}  # fmt: skip
    first = pa.RecordBatch.from_pylist([row, row | {"frame_id": 1, "kind": "kernel"}], schema)
    last = pa.RecordBatch.from_pylist([row | {"function": "g", "kind": "jit"}], schema)
    found = latest("frames", schema, [first, last])
    assert found.column("function").to_pylist() == ["f", "g"]
    assert found.column("kind").to_pylist() == ["kernel", "jit"]


@pytest.mark.parametrize("high", [5, 1 << 31])
def test_keys_of_more_bits_than_a_number(monkeypatch, high):
    """Four columns of 32 bits: their ranks are used."""
    rng = np.random.default_rng(5)
    names = [f"k{i}" for i in range(4)]
    monkeypatch.setitem(module.KEYS, "wide", tuple(names))
    data = {name: rng.integers(0, high, 3000).astype(np.uint32) for name in names}
    data["value"] = np.arange(3000)
    table = pa.table(data)
    found = latest("wide", table.schema, table.to_batches(max_chunksize=700))
    frame = pl.DataFrame(table).unique(names, keep="last").sort(names)
    assert pl.DataFrame(found).equals(frame)


def test_keys_of_plain_texts():
    schema = pa.schema({"pid": pa.uint32(), "role": pa.dictionary(pa.int8(), pa.string()),
                        "port": pa.uint16(), "remote_address": pa.string()})  # fmt: skip
    rows = [(1, "client", 80, "10.0.0.2"), (1, "client", 80, "10.0.0.10"),
            (1, "client", 80, "10.0.0.2"), (1, "client", 80, "::1")]  # fmt: skip
    columns = [pa.array(list(values)).cast(field.type) for values, field in
               zip(zip(*rows, strict=True), schema, strict=True)]  # fmt: skip
    found = latest("tcp_agg", schema, [pa.RecordBatch.from_arrays(columns, schema=schema)])
    assert found["remote_address"].to_pylist() == ["10.0.0.10", "10.0.0.2", "::1"]
