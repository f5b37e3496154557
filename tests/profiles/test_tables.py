from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from workbench.errors import ImportFormatError
from workbench.profiles.profile import Samples, Value
from workbench.profiles.tables import frames_table, processes_table, samples_table, stacks_table
from workbench.schema import FRAMES, PROCESSES, STACKS, arrow_schema
from workbench.store.columns import check_schema

START = 1_700_000_000_000_000_000


def samples(*values, columns=None, **options):
    rows = len(values[0].amounts) if values else 0
    return Samples(np.zeros(rows, np.uint32), values, columns or {}, **options)


def value(name, unit, *amounts):
    return Value(name, unit, np.array(amounts, np.int64))


def test_side_tables_have_their_schemas():
    frames = frames_table({"function": ["a", "b"], "kind": ["native", "python"]})
    assert frames.schema.equals(arrow_schema(FRAMES), check_metadata=True)
    assert frames.to_pylist()[1] == {
        "frame_id": 1, "function": "b", "file": None, "line": None, "module": "",
        "build_id": "", "offset": 0, "kind": "python",
    }  # fmt: skip
    more = frames_table({"function": ["a"]}, {"address": pa.array([7], pa.uint64())})
    assert more["address"].to_pylist() == [7]
    check_schema("frames", more.schema)
    stacks = stacks_table(np.array([5, 6, 7], np.uint32), np.array([0, 2, 2, 3]))
    assert stacks.schema.equals(arrow_schema(STACKS), check_metadata=True)
    assert stacks["frame_ids"].to_pylist() == [[5, 6], [], [7]]


def test_values_become_columns_in_ns_and_bytes():
    table, facts = samples_table(
        samples(
            value("samples", "count", 3, 4),
            value("cpu", "milliseconds", 30, 40),
            value("size", "kilobytes", 1, -2),
            period_ns=10**7,
            table="cpu",
        ),
        START,
        "program",
    )
    check_schema("cpu", table.schema)
    assert table.column_names == [
        "ts", "comm", "stack_id", "samples", "cpu_milliseconds", "size", "weight",
    ]  # fmt: skip
    assert table["weight"].to_pylist() == [3, 4]
    assert table["cpu_milliseconds"].to_pylist() == [30_000_000, 40_000_000]
    assert table["size"].to_pylist() == [1024, -2048]
    assert table.schema.field("size").metadata[b"unit"] == b"bytes"
    assert table["comm"].to_pylist() == ["program"] * 2
    assert table["ts"].cast(pa.int64()).to_pylist() == [START] * 2
    assert facts == {
        "values": [
            {"column": "samples", "type": "samples", "unit": "count"},
            {"column": "cpu_milliseconds", "type": "cpu", "unit": "milliseconds"},
            {"column": "size", "type": "size", "unit": "kilobytes"},
        ],
        "weight": "size",
        "labels": [],
        "period_ns": 10**7,
    }


def test_what_would_not_fit_keeps_its_unit():
    table, _ = samples_table(samples(value("cpu", "seconds", 1 << 62)), START)
    assert table["cpu_seconds"].to_pylist() == [1 << 62]
    assert table.schema.field("cpu_seconds").metadata[b"unit"] == b"seconds"
    assert table["weight"].to_pylist() == [1]


@pytest.mark.parametrize("count", [-1, 1 << 32])
def test_counts_that_are_no_weight(count):
    table, _ = samples_table(samples(value("samples", "count", count)), START)
    assert table["samples"].to_pylist() == [count]
    assert table["weight"].to_pylist() == [1]


def test_off_cpu_times_are_durations():
    values = (value("offcpu_events", "count", 2), value("offcpu_blocked", "nanoseconds", 7))
    table, facts = samples_table(samples(*values, default="offcpu_events", table="offcpu"), START)
    assert table.schema.field("blocked").type == pa.duration("ns")
    assert facts["weight"] == "offcpu_events"
    assert table["weight"].to_pylist() == [2]


def test_known_columns_have_their_types_and_others_their_names():
    table, facts = samples_table(
        samples(
            value("cpu", "ns", 1, 2),
            columns={
                "pid": pa.array([1, None], pa.int64()),
                "ts": pa.array([5, 6], pa.int64()),
                "comm": pa.array(["a", None]),
                "cpu": pa.array([0, 1]),
                "stack_id": pa.array(["x", "y"]),
                "size": pa.array([1, 2]),
            },
            units={"size": "bytes"},
            facts={"more": 1},
        ),
        START,
        "p",
    )
    check_schema("cpu", table.schema)
    assert table.column_names[:6] == ["ts", "cpu", "pid", "comm", "stack_id_label", "size"]
    assert table["comm"].to_pylist() == ["a", "p"]
    assert facts["more"] == 1
    assert facts["labels"][-2:] == [
        {"column": "stack_id_label", "name": "stack_id", "unit": ""},
        {"column": "size", "name": "size", "unit": "bytes"},
    ]
    assert table["pid"].to_pylist() == [1, None]
    assert table.schema.field("size").metadata[b"unit"] == b"bytes"


def test_what_does_not_fit_is_an_error():
    with pytest.raises(ImportFormatError, match="pid of the samples"):
        samples_table(samples(value("a", "", 1), columns={"pid": pa.array([-5])}), START)
    with pytest.raises(ImportFormatError, match="2 amounts for 1 samples"):
        samples_table(samples(value("a", "", 1), value("b", "", 1, 2)), START)


def test_processes_are_those_of_the_samples():
    columns = {
        "pid": pa.array([7, 7, None]),
        "tid": pa.array([7, 8, 9]),
        "comm": pa.array(list("abc")),
    }
    table, _ = samples_table(samples(value("a", "", 1, 1, 1), columns=columns), START)
    found = processes_table([table], START)
    assert found.schema.equals(arrow_schema(PROCESSES))
    assert [(r["pid"], r["tid"], r["comm"]) for r in found.to_pylist()] == [
        (7, 7, "a"),
        (7, 8, "b"),
    ]
    plain, _ = samples_table(samples(value("a", "", 1)), START)
    assert processes_table([plain], START) is None


def test_sums_that_do_not_fit_are_refused():
    half = np.array([1 << 62, -(1 << 62)])
    with pytest.raises(ImportFormatError, match="'a' is more than 64 bits hold"):
        samples_table(Samples(np.zeros(2, np.uint32), (Value("a", "count", half),)), 1)
    table, _ = samples_table(Samples(np.zeros(2, np.uint32), (Value("a", "s", half // 10**9),)), 1)
    assert table.schema.field("a").metadata[b"unit"] == b"s"  # in ns they would not
