from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import synthetic

from workbench.schema import DERIVED, arrow_field
from workbench.store.comms import CommIndex
from workbench.store.decorate import Decorator, derived, needed, ordered

TRUTH = synthetic.truth(("syscalls", "cpu", "syscalls_agg"), 500, 3)


@pytest.fixture
def decorator():
    comms = CommIndex.from_batches(synthetic.side_batches()["processes"])
    return Decorator(comms, "x86_64")


@pytest.mark.parametrize("kind", ["syscalls", "cpu", "syscalls_agg"])
def test_comm_is_that_of_the_rule(decorator, kind):
    batch = synthetic.batch_of(kind, TRUTH.columns[kind])
    made = decorator.batch(kind, batch)
    assert made.schema == decorator.schema(kind, batch.schema)
    assert made.column("comm").to_pylist() == TRUTH.comm[kind].tolist()


def test_columns_of_the_contract(decorator):
    names = decorator.schema("syscalls", synthetic.SYSCALLS).names
    assert names == [
        "ts",
        "cpu",
        "pid",
        "tid",
        "comm",
        "nr",
        "name",
        "args",
        "ret",
        "errno",
        "latency",
        "weight",
    ]
    names = decorator.schema("cpu", synthetic.CPU_SAMPLES).names
    assert names == ["ts", "cpu", "pid", "tid", "comm", "stack_id", "weight"]
    assert (
        decorator.schema("cpu", synthetic.CPU_SAMPLES)
        .field("comm")
        .equals(arrow_field(DERIVED["comm"]), check_metadata=True)
    )
    assert "weight" not in decorator.schema("syscalls_agg", synthetic.SYSCALLS_AGG).names


def test_errno_only_of_failed_calls(decorator):
    ret = np.array([0, 5, -1, -4095, -4096, -(1 << 63), (1 << 63) - 1])
    data = {k: v[: len(ret)] for k, v in TRUTH.columns["syscalls"].items()} | {"ret": ret}
    made = decorator.batch("syscalls", synthetic.batch_of("syscalls", data), ["errno", "weight"])
    assert made.column("errno").to_pylist() == [None, None, 1, 4095, None, None, None]
    assert made.column("weight").to_pylist() == [1] * len(ret)
    assert made.schema.names == ["errno", "weight"]


def test_names_of_unknown_numbers_and_machines(decorator):
    nr = np.array([0, 257, 999, 65535], np.uint16)
    data = {k: v[:4] for k, v in TRUTH.columns["syscalls"].items()} | {"nr": nr}
    batch = synthetic.batch_of("syscalls", data)
    assert decorator.batch("syscalls", batch, ["name"]).column("name").to_pylist() == [
        "read", "openat", "syscall_999", "syscall_65535",
    ]  # fmt: skip
    other = Decorator(CommIndex.empty(), "vax")
    assert other.batch("syscalls", batch, ["name"]).column("name")[1].as_py() == "syscall_257"


def test_slices_and_empty_batches(decorator):
    batch = synthetic.batch_of("cpu", TRUTH.columns["cpu"])
    whole = decorator.batch("cpu", batch)
    assert decorator.batch("cpu", batch.slice(7, 11)).equals(whole.slice(7, 11))
    assert decorator.batch("cpu", batch.slice(0, 0)).num_rows == 0


def test_side_tables_stay_as_they_are(decorator):
    batch = synthetic.side_batches()["processes"][0]
    assert decorator.batch("processes", batch).equals(batch)


def test_only_needed_columns():
    stream = ["ts", "args", "ret", "pid", "tid", "nr"]
    assert needed(["errno", "comm"], stream) == ["ts", "ret", "pid", "tid"]
    assert derived(stream) == ["comm", "name", "errno", "weight"]
    assert derived(["ts", "pid", "comm"]) == []
    assert ordered(["weight", "x", "ts"]) == ["ts", "x", "weight"]
    assert pa.types.is_dictionary(arrow_field(DERIVED["comm"]).type)
