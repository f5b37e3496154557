"""Profiles that are several values of the same observations."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import reading
from otlp_made import Made

from workbench.formats.otlp.reading.read import read_protobuf
from workbench.formats.otlp.reading.read_joined import joined
from workbench.profiles.profile import Samples, Value

COUNTS = Samples(
    np.array([0, 1, 0], np.uint32),
    (Value("samples", "count", np.array([1, 2, 3])),),
    {"pid": pa.array([7, 7, None])},
    table="cpu",
    period_ns=10,
    facts={"period": ["cpu", "nanoseconds", 10]},
)
TIMES = replace(COUNTS, values=(Value("cpu", "nanoseconds", np.array([10, 20, 30])),))


def test_values_of_the_same_observations():
    (found,) = joined([COUNTS, TIMES])
    assert found == replace(COUNTS, values=COUNTS.values + TIMES.values)
    (found,) = joined([COUNTS, TIMES], "samples")
    assert found.default == "samples"


@pytest.mark.parametrize(
    "change",
    [
        {"table": "cpu_other"},
        {"stack_ids": np.array([0, 1, 1], np.uint32)},
        {"columns": {"pid": pa.array([7, 7, 8])}},
        {"columns": {}},
        {"units": {"pid": "1"}},
        {"period_ns": 11},
        {"facts": {}},
        {"values": COUNTS.values},
    ],
)
def test_what_differs_stays_apart(change):
    other = replace(TIMES, **change)
    assert joined([COUNTS, other]) == [COUNTS, other]


def test_the_default_comes_first():
    other = replace(TIMES, table="wall", values=(Value("wall", "nanoseconds", np.arange(3)),))
    found = joined([COUNTS, other, TIMES], "wall")
    assert [each.table for each in found] == ["wall", "cpu"]
    assert [each.default for each in found] == ["wall", ""]
    assert [each.table for each in joined([COUNTS, other], "nowhere")] == ["cpu", "wall"]


def pprof_as_otlp(*, kept=2):
    """What Go's CPU profile becomes in OTLP: a profile of samples and one of their time."""
    made = Made()
    stacks = [made.stack(made.location((name, "m.go", 1))) for name in ("main", "work")]
    for type_, unit, factor in (("samples", "count", 1), ("cpu", "nanoseconds", 10_000_000)):
        profile = made.profile(type_, unit, period=10_000_000)
        profile.period_type.type_strindex = made.text("cpu")
        profile.period_type.unit_strindex = made.text("nanoseconds")
        for number, stack in enumerate(stacks if type_ == "samples" else stacks[:kept]):
            profile.samples.add(stack_index=stack, values=[(number + 2) * factor])
    return made


def test_a_profile_of_pprof_is_one_table_again(tmp_path):
    rec = reading.session(pprof_as_otlp().body(), tmp_path / "a.wb")
    assert rec.kinds == ("cpu",)
    table = rec["cpu"].polars()
    assert table["samples"].to_list() == [2, 3]
    assert table["cpu_nanoseconds"].to_list() == [20_000_000, 30_000_000]
    # What has fewer samples of the one than of the other cannot be told to be the same.
    found = read_protobuf(io.BytesIO(pprof_as_otlp(kept=1).body()))
    assert [len(each) for each in found.samples] == [2, 1]
