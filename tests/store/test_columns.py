from __future__ import annotations

import pyarrow as pa
import pytest
import synthetic

from workbench.errors import SessionCorruptError
from workbench.schema import SIDE_TABLES
from workbench.store.columns import check_schema, expected_type, side_schema

TS = pa.field("ts", pa.timestamp("ns", "UTC"))


@pytest.mark.parametrize("table", [*synthetic.SCHEMAS, *SIDE_TABLES])
def test_our_own_schemas_pass(table):
    check_schema(table, synthetic.SCHEMAS.get(table) or side_schema(table))


@pytest.mark.parametrize(
    ("table", "schema"),
    [
        ("cpu", pa.schema([])),
        ("cpu", pa.schema([("a", pa.int8())])),
        ("cpu", pa.schema([TS, TS])),
        ("cpu", pa.schema([TS, *((f"c{i}", pa.int8()) for i in range(128))])),
        ("cpu", pa.schema([("ts", pa.timestamp("us", "UTC"))])),
        ("cpu", pa.schema([TS, ("pid", pa.int32())])),
        ("cpu", pa.schema([TS, ("x", pa.null())])),
        ("cpu", pa.schema([TS, ("x", pa.list_(pa.list_(pa.list_(pa.int8()))))])),
        ("cpu", pa.schema([TS, ("x", pa.dictionary(pa.int8(), pa.int64()))])),
        ("cpu", pa.schema([TS, ("x", pa.duration("s"))])),
        ("cpu", pa.schema([TS, pa.field("x", pa.int8(), metadata={b"unit": b"\xff"})])),
        ("cpu", pa.schema([TS, pa.field("x", pa.int8(), metadata={b"unit": b"x" * 20_000})])),
        ("stacks", pa.schema([("stack_id", pa.uint32())])),
        ("frames", side_schema("frames").set(0, pa.field("frame_id", pa.int64()))),
        ("syscalls_agg", pa.schema([TS, ("pid", pa.uint32())])),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, pa.Schema) else value,
)
def test_others_are_refused(table, schema):
    with pytest.raises(SessionCorruptError, match=table):
        check_schema(table, schema)


def test_other_columns_of_events_may_have_any_plain_type():
    check_schema("tcp", pa.schema([TS, ("saddr", pa.binary(16)), ("bytes", pa.uint64())]))
    assert expected_type("tcp", "saddr") is None
    assert expected_type("tcp", "pid") == pa.uint32()
