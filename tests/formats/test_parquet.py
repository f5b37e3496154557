from __future__ import annotations

import pyarrow.parquet as pq
import pytest
import synthetic

from workbench.formats import export
from workbench.recording import Recording


@pytest.fixture(scope="module")
def rec(tmp_path_factory):
    path = tmp_path_factory.mktemp("parquet") / "a.wb"
    return Recording.open(synthetic.make_session(path, rows=700))


@pytest.mark.parametrize("table", ["syscalls", "cpu", "frames", "processes", "stacks"])
@pytest.mark.parametrize("pids", [[1000, 2000], [77]], ids=["some", "none"])
def test_holds_the_table_with_types_units_and_meanings(rec, table, pids, tmp_path):
    part = rec.where(pid=pids)
    expected = part[table].arrow()
    export(part, "parquet", tmp_path / "out", table=table)
    found = pq.read_table(tmp_path / "out")
    assert found.schema.equals(expected.schema, check_metadata=True)
    assert found.to_pylist() == expected.to_pylist()


def test_default_table_is_that_of_the_events(rec, tmp_path):
    export(rec, "parquet", tmp_path / "out")
    assert pq.read_table(tmp_path / "out").num_rows == rec.events.num_rows
