from __future__ import annotations

from types import SimpleNamespace

import pyarrow as pa
import pytest
import synthetic

from workbench.formats import arrow, export
from workbench.recording import Recording


@pytest.fixture(scope="module")
def rec(tmp_path_factory):
    path = tmp_path_factory.mktemp("arrow") / "a.wb"
    return Recording.open(synthetic.make_session(path, rows=700))


@pytest.mark.parametrize("table", ["syscalls", "cpu", "frames", "processes", "stacks"])
@pytest.mark.parametrize("pids", [[1000, 2000], [77]], ids=["some", "none"])
def test_holds_the_table_with_types_units_and_meanings(rec, table, pids, tmp_path):
    part = rec.where(pid=pids)
    expected = part[table].arrow()
    export(part, "arrow", tmp_path / "out", table=table)
    found = pa.ipc.open_file(tmp_path / "out").read_all()
    assert found.schema.equals(expected.schema, check_metadata=True)
    assert found.to_pylist() == expected.to_pylist()


def test_default_table_is_that_of_the_events(rec, tmp_path):
    export(rec, "arrow", tmp_path / "out")
    assert pa.ipc.open_file(tmp_path / "out").read_all().num_rows == rec.events.num_rows


def test_texts_are_numbered_over_the_whole_table(tmp_path):
    texts = [["a", "b", None, "a"], ["c", "b"], ["b", "a", "d"]]
    columns = [pa.array(each).dictionary_encode() for each in texts]
    parts = [pa.record_batch({"n": range(len(c)), "text": c}) for c in columns]

    class Numbered:
        schema = parts[0].schema

        def batches(self, names=None):
            yield from (each if names is None else each.select(names) for each in parts)

    with (tmp_path / "out").open("wb") as file:
        arrow.write(SimpleNamespace(events=Numbered()), file, None)
    found = pa.ipc.open_file(tmp_path / "out")
    assert found.num_record_batches == 3
    assert found.read_all()["text"].to_pylist() == [text for each in texts for text in each]
    dictionaries = [found.get_batch(at)["text"].dictionary.to_pylist() for at in range(3)]
    assert dictionaries == [["a", "b", "c", "d"]] * 3
