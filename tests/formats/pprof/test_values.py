"""What samples are worth, by table."""

from __future__ import annotations

import polars as pl
import pyarrow as pa
import pytest
import synthetic

from workbench.errors import ExportError, MissingTableError
from workbench.formats.pprof.values import chosen_table, valued
from workbench.frames.flame import flame_tree
from workbench.recording import Recording
from workbench.store.manifest import Manifest
from workbench.store.save import save_tables


@pytest.fixture(scope="module")
def rec(tmp_path_factory):
    path = tmp_path_factory.mktemp("values") / "a.wb"
    return Recording.open(synthetic.make_session(path, kinds=("offcpu", "cpu"), rows=300))


def named(found):
    return [(one.name, one.unit) for one in found.types]


def sums(found):
    rows = pl.concat(each.collect() for each in (found.query, *found.more))
    return {one.name: rows[one.column].sum() for one in found.types}


def test_cpu(rec):
    found = valued(rec, "cpu")
    assert named(found) == [("samples", "count"), ("cpu", "nanoseconds")]
    assert found.default == "cpu"
    assert found.period == ("cpu", "nanoseconds", 10_101_010)
    total = flame_tree(rec).total
    assert sums(found) == {"samples": total, "cpu": total * 10_101_010}
    assert [one.key for one in found.labels] == ["thread", "pid", "tid"]


def test_offcpu(rec):
    found = valued(rec, "offcpu")
    assert named(found) == [
        ("offcpu_events", "count"),
        ("offcpu_blocked", "nanoseconds"),
        ("offcpu_runnable", "nanoseconds"),
        ("offcpu", "nanoseconds"),
    ]
    assert found.default == "offcpu"
    expected = {name: flame_tree(rec, "offcpu", weight=weight).total for name, weight in
                [("offcpu_events", "weight"), ("offcpu_blocked", "blocked"),
                 ("offcpu_runnable", "runnable"), ("offcpu", "off")]}  # fmt: skip
    assert sums(found) == expected
    assert "state" in [one.key for one in found.labels]


def other(folder, name, **columns):
    """A session with a table of some kind with stacks: two rows, weights 1 and 2."""
    fields = [
        pa.field("ts", pa.timestamp("ns", tz="UTC")),
        pa.field("pid", pa.uint32()),
        pa.field("stack_id", pa.uint32()),
        *(pa.field(key, kind, metadata=meta) for key, (kind, meta, _) in columns.items()),
        pa.field("weight", pa.uint32()),
    ]
    values = [[1, 2], [1, 1], [0, 0], *(rows for _, _, rows in columns.values()), [1, 2]]
    arrays = [pa.array(v).cast(f.type) for v, f in zip(values, fields, strict=True)]
    table = pa.Table.from_arrays(arrays, schema=pa.schema(fields))
    manifest = Manifest(kinds={name: {}}, start_ns=1, state="complete")
    rows = {name: (table.schema, table.to_batches())}
    return Recording.open(save_tables(manifest, rows, folder / f"{name}.wb"))


NS, BYTES = (pa.duration("ns"), {"unit": "ns"}), (pa.uint64(), {"unit": "bytes"})


def test_locks_are_what_go_calls_contentions(tmp_path):
    rec = other(tmp_path, "locks", waited=(*NS, [5, 7]), held=(*NS, [1, 0]))
    found = valued(rec, "locks")
    assert sums(found) == {"contentions": 3, "delay": 19, "locks_held": 1}
    assert found.default == "delay"


def test_others_have_their_durations_and_sizes(tmp_path):
    rec = other(
        tmp_path,
        "my_probe",
        latency=(*NS, [None, 7]),
        size=(*BYTES, [10, 20]),
        offset=(*BYTES, [1, 1]),
    )
    found = valued(rec, "my_probe")
    assert sums(found) == {"my_probe_events": 3, "my_probe_latency": 14, "my_probe_size": 50}
    assert found.default == "my_probe_events"
    assert [one.key for one in found.labels] == ["pid"]


def test_which_table(rec, tmp_path):
    assert chosen_table(rec, None) == "cpu"
    assert chosen_table(rec, "offcpu") == "offcpu"
    with pytest.raises(ExportError, match="processes has no stacks"):
        chosen_table(rec, "processes")
    with pytest.raises(MissingTableError):
        chosen_table(rec, "tcp")
    calls = Recording.open(synthetic.make_session(tmp_path / "b", kinds=("syscalls",), rows=9))
    with pytest.raises(MissingTableError):
        chosen_table(calls, None)
