"""Records become record batches: every type, strided views, times in UTC."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.batch import Batcher, column, encoded, named
from workbench.event_texts import OFF_STATES
from workbench.probe.layout import Field, Layout, arrow_schema

OFFSET = 1_760_000_000_000_000_000


def field(name, dtype, typedef=""):
    return Field(name, typedef, "1", name, np.dtype(dtype))


FIELDS = (
    field("ts", "u8", "wb_time_ns"),
    field("took", "u8", "wb_duration_ns"),
    field("ret", "i8", "wb_retval"),
    field("args", ("u8", 6), "wb_arg"),
    field("pid", "u4", "wb_pid"),
    field("small", "u2"),
    field("text", "S8"),
)
DTYPE = np.dtype([(f.name, f.dtype.base, f.dtype.shape) for f in FIELDS])
LAYOUT = Layout("some_event", DTYPE, FIELDS)


def records(n):
    made = np.zeros(n, DTYPE)
    made["ts"] = np.arange(n) * 1000 + 7
    made["took"] = np.arange(n)
    made["ret"] = -np.arange(n)
    made["args"] = np.arange(6 * n).reshape(n, 6)
    made["pid"] = 0xFFFFFFFF
    made["text"] = b"a\xff\0junk"
    return made


def batcher():
    return Batcher(LAYOUT, arrow_schema(LAYOUT), OFFSET)


@pytest.mark.parametrize("n", [0, 1, 1000])
def test_columns_hold_what_the_records_hold(n):
    batch = batcher().batch(records(n))
    batch.validate(full=True)
    assert batch.num_rows == n
    rows = batch.to_pylist()
    for i in (0, n - 1) if n else ():
        assert rows[i]["ts"].value == OFFSET + i * 1000 + 7
        assert rows[i]["took"].value == i
        assert rows[i]["ret"] == -i
        assert rows[i]["args"] == list(range(6 * i, 6 * i + 6))
        assert rows[i]["pid"] == 0xFFFFFFFF
        assert rows[i]["text"] == "a\N{REPLACEMENT CHARACTER}"


def test_a_batch_does_not_change_with_the_ring_it_was_made_from():
    memory = np.zeros(100 * (DTYPE.itemsize + 8), np.uint8)
    view = np.ndarray((100,), DTYPE, memory, 8, (DTYPE.itemsize + 8,))
    view[:] = records(100)
    batch = batcher().batch(view)
    before = batch.to_pylist()
    memory[:] = 0xFF
    assert batch.to_pylist() == before
    contiguous = records(10)
    batch = batcher().batch(contiguous)
    before = batch.to_pylist()
    contiguous["pid"], contiguous["args"] = 0, 0
    assert batch.to_pylist() == before


def test_columns_that_are_not_in_the_records():
    schema = arrow_schema(LAYOUT).append(pa.field("stack_id", pa.uint32()))
    batch = Batcher(LAYOUT, schema, 0).batch(records(3), stack_id=np.array([5, 6, 7], np.uint32))
    assert batch["stack_id"].to_pylist() == [5, 6, 7]
    assert batch["ts"].cast(pa.int64()).to_pylist() == [7, 1007, 2007]


@given(st.lists(st.binary(max_size=16), max_size=20))
def test_text_ends_at_the_first_nul(texts):
    got = column(np.array(texts, "S16"), pa.string()).to_pylist()
    assert got == [t.split(b"\0", 1)[0].decode("utf-8", "replace") for t in texts]


@given(st.lists(st.integers(0, 2**64 - 1), max_size=60).filter(lambda v: len(v) % 3 == 0))
def test_fixed_size_lists(values):
    kind = pa.list_(pa.field("item", pa.uint64(), nullable=False), 3)
    made = column(np.array(values, np.uint64).reshape(-1, 3), kind)
    made.validate(full=True)
    assert made.type == kind
    assert made.to_pylist() == np.array(values, object).reshape(-1, 3).tolist()


def test_codes_get_their_texts():
    fields = (field("ts", "u8", "wb_time_ns"), field("state", "u2", "wb_off_state"))
    dtype = np.dtype([(f.name, f.dtype) for f in fields])
    layout = Layout("some_event", dtype, fields)
    made = np.zeros(3, dtype)
    made["state"] = 0, 1, 999
    batch = Batcher(layout, arrow_schema(layout), 0).batch(made)
    assert batch["state"].to_pylist() == ["preempted", "sleeping", OFF_STATES[-1]]


def test_texts_that_are_looked_up():
    """Numbers whose typedef has an encoder become its texts, others stay."""
    fields = (field("path", "u4", "wb_path"), field("pid", "u4", "wb_pid"))
    layout = Layout("e", np.dtype([(f.name, f.dtype) for f in fields]), fields)
    made = np.array([(2, 7), (1, 8), (2, 9)], layout.dtype)
    names = {"wb_path": lambda codes: pa.array([f"/{n}" for n in codes]).dictionary_encode()}
    batch = Batcher(layout, arrow_schema(layout), 0, names).batch(made)
    assert batch.to_pydict() == {"path": ["/2", "/1", "/2"], "pid": [7, 8, 9]}
    assert batch.schema.field("path").type == pa.dictionary(pa.int32(), pa.string())


def test_codes_become_texts_in_either_type():
    codes = np.array([0, 2, 1, 9], np.uint16)
    texts = ("a", "b", "other")
    as_codes, as_strings = encoded(codes, texts), named(codes, texts)
    assert as_codes.type == pa.dictionary(pa.int8(), pa.string())
    assert as_strings.type == pa.string()
    assert as_codes.to_pylist() == as_strings.to_pylist() == ["a", "other", "b", "other"]
    many = tuple(map(str, range(1000)))
    assert named(np.array([999, 1001], np.uint16), many).to_pylist() == ["999"] * 2
