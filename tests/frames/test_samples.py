from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import synthetic

from workbench.errors import MissingTableError
from workbench.frames.samples import functions, samples
from workbench.recording import Recording

KINDS = ("syscalls", "cpu", "offcpu")


@pytest.fixture(scope="module")
def rec(tmp_path_factory):
    path = tmp_path_factory.mktemp("samples") / "a.wb"
    return Recording.open(synthetic.make_session(path, kinds=KINDS, rows=700))


def rows_of(found, window=None):
    """Return all samples, by thread and time."""
    return pl.concat(found.scan(window)).sort("pid", "tid", "ts", maintain_order=True)


def test_each_sample_with_its_stack(rec):
    found = samples(rec, "cpu")
    data = synthetic.truth(KINDS, rows=700).columns["cpu"]
    order = np.lexsort((data["ts"], data["tid"], data["pid"]))
    assert found.unit == "samples"
    assert rows_of(found)["ts"].to_list() == data["ts"][order].tolist()
    assert rows_of(found)["tid"].to_list() == data["tid"][order].tolist()
    assert rows_of(found)["amount"].to_list() == data["weight"][order].tolist()
    names = found.frames["name"].to_list()
    for stack, truth in zip(rows_of(found)["stack"], data["stack_id"][order], strict=True):
        frames = found.flat[found.offsets[stack] : found.offsets[stack + 1]]
        expected = [synthetic.FRAMES[at][0] for at in synthetic.STACKS[truth]]
        assert [names[at] for at in frames[::-1]] == expected


def test_times_and_selections(rec):
    part = rec.where(pid=1000)
    found = samples(part, "offcpu")
    assert found.unit == "ns"
    assert rows_of(found)["amount"].sum() == part.sql(
        "select sum((cast(blocked as bigint) + cast(runnable as bigint)) * weight) as n from offcpu"
    ).item()  # fmt: skip
    assert samples(part, "offcpu", "weight").unit == "events"
    assert rows_of(samples(part, "offcpu", "blocked"))["amount"].min() > 0
    assert set(rows_of(found)["pid"]) == {1000}


def test_functions_are_frames_that_differ_in_lines_only(rec):
    found = samples(rec, "cpu")
    named, function = functions(found.frames.with_row_index("x").drop("x")[[0, 1, 1, 2, 0]])
    assert function.tolist() == [0, 1, 1, 2, 0]
    assert named["name"].to_list() == found.frames["name"][:3].to_list()


def test_what_has_no_stacks(rec):
    with pytest.raises(MissingTableError):
        samples(rec, "syscalls")
