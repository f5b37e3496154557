from __future__ import annotations

import polars as pl
import pytest
import synthetic

from workbench.formats import export
from workbench.recording import Recording


@pytest.fixture(scope="module")
def rec(tmp_path_factory):
    path = tmp_path_factory.mktemp("csv") / "a.wb"
    return Recording.open(synthetic.make_session(path, rows=700))


def test_can_be_read_back(rec, tmp_path):
    part = rec.window(1.0, 4.0)
    export(part, "csv", tmp_path / "out")
    frame = pl.read_csv(tmp_path / "out", infer_schema_length=None)
    expected = part.events.polars()
    assert frame.columns == expected.columns
    assert frame["ret"].to_list() == expected["ret"].to_list()
    assert frame["latency"].to_list() == expected["latency"].cast(pl.Int64).to_list()
    assert frame["errno"].to_list() == expected["errno"].to_list()
    times = frame["ts"].str.to_datetime(time_unit="ns", time_zone="UTC")
    assert times.to_list() == expected["ts"].to_list()
    assert frame["args"][0] == str(expected["args"][0].to_list())


def test_lists_are_texts(rec, tmp_path):
    export(rec, "csv", tmp_path / "out", table="stacks")
    assert (tmp_path / "out").read_text().splitlines()[:3] == [
        "stack_id,frame_ids",
        '0,"[1, 0]"',
        '1,"[2, 1, 0]"',
    ]


def test_nothing_has_a_header(rec, tmp_path):
    export(rec.where(pid=77), "csv", tmp_path / "out", table="cpu")
    assert (tmp_path / "out").read_text() == "ts,cpu,pid,tid,comm,stack_id,weight\n"
