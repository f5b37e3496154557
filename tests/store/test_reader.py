from __future__ import annotations

import pyarrow as pa
import pytest
import synthetic
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbench.errors import SessionCorruptError, SessionNotFoundError
from workbench.store import convert, writer
from workbench.store.archive import pack
from workbench.store.reader import open_store
from workbench.store.recover import recover

KINDS = ("syscalls", "cpu", "syscalls_agg")


def tables(store):
    return {n: pa.Table.from_batches(s.batches(), s.schema) for n, s in store.sources.items()}


def plain(table):
    """Decode dictionaries: their order is not part of the data."""
    fields = [
        f.with_type(pa.string()) if pa.types.is_dictionary(f.type) else f for f in table.schema
    ]
    return table.cast(pa.schema(fields))


def same(one, two):
    assert one.keys() == two.keys()
    for name in one:
        assert one[name].schema.equals(two[name].schema, check_metadata=True), name
        assert plain(one[name]).equals(plain(two[name])), name


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    rows=st.integers(0, 700),
    batch_rows=st.sampled_from([1, 7, 64, 1000]),
    seed=st.integers(0, 5),
    group=st.sampled_from([10, 100, 1 << 19]),
)
def test_every_form_of_a_session_holds_the_same(tmp_path_factory, rows, batch_rows, seed, group):
    """Live stream, recovered directory, finished directory, saved file: equal rows and schemas."""
    place = tmp_path_factory.mktemp("forms")
    options = {"kinds": KINDS, "rows": max(rows, 1), "seed": seed, "batch_rows": batch_rows}
    live = synthetic.write_streams(place / "one", **options)
    dead = synthetic.write_streams(place / "two", **options)
    dead.close()
    (place / "two" / "recorder.pid").unlink()
    found = [tables(open_store(place / "one"))]
    assert open_store(place / "one").manifest.state == "recording"
    assert open_store(place / "two").manifest.state == "recovered"
    found.append(tables(open_store(place / "two")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(convert, "ROW_GROUP", group)
        live.finish()
        recover(place / "two")
    paths = (place / "one", place / "two", pack(place / "one", place / "saved"))
    found += [tables(open_store(path, verify=True)) for path in paths]
    answer = synthetic.truth(KINDS, max(rows, 1), seed)
    for kind in KINDS:
        assert found[0][kind]["comm"].to_pylist() == answer.comm[kind].tolist()
        assert (
            found[0][kind]["ts"].cast(pa.int64()).to_pylist() == answer.columns[kind]["ts"].tolist()
        )
    for other in found[1:]:
        same(found[0], other)


def test_live_session_grows_and_ends(tmp_path):
    path = tmp_path / "a.wb"
    one = synthetic.write_streams(path, kinds=("cpu",), rows=100)
    store = open_store(path)
    assert not store.refresh()
    batch = synthetic.batch_of("cpu", synthetic.truth(("cpu",), 100).columns["cpu"])
    one.append("cpu", batch)
    assert store.refresh()
    assert store.sources["cpu"].num_rows == 200
    one.append("later", batch)
    assert store.refresh()
    assert store.sources["later"].num_rows == 100
    one.finish()
    assert store.refresh()
    assert store.manifest.state == "complete"
    assert store.sources["cpu"].num_rows == 200
    assert not store.refresh()


def test_names_of_late_processes_appear(tmp_path):
    path = tmp_path / "a.wb"
    answer = synthetic.truth(("cpu",), 200)
    one = writer.SessionWriter.create(path, synthetic.manifest(["cpu"], 0, 0))
    one.append("cpu", synthetic.batch_of("cpu", answer.columns["cpu"]))
    store = open_store(path)
    assert set(tables(store)["cpu"]["comm"].to_pylist()) == {""}
    for batch in synthetic.side_batches()["processes"]:
        one.append("processes", batch)
    store.refresh()
    assert tables(store)["cpu"]["comm"].to_pylist() == answer.comm["cpu"].tolist()


def test_a_recorder_that_died_while_converting(tmp_path, monkeypatch):
    path = tmp_path / "a.wb"
    one = synthetic.write_streams(path, rows=300)
    before = tables(open_store(path))
    convert.convert(open_store(path).sources["cpu"].stream, convert.decorator(path, "x86_64"),
                    path / "cpu.parquet")  # fmt: skip
    one.close()
    (path / "recorder.pid").unlink()
    (path / "syscalls.parquet.part").write_bytes(b"half")
    same(before, tables(open_store(path)))
    recover(path)
    same(before, tables(open_store(path)))


def test_a_recorder_that_died_before_removing_streams(tmp_path, monkeypatch):
    path = tmp_path / "a.wb"
    one = synthetic.write_streams(path, rows=300)
    before = tables(open_store(path))
    monkeypatch.setattr(writer, "remove_streams", lambda _: None)
    one.finish()
    same(before, tables(open_store(path)))
    recover(path)
    assert not list(path.glob("*.arrows"))
    same(before, tables(open_store(path)))


def test_what_is_no_session(tmp_path):
    with pytest.raises(SessionNotFoundError):
        open_store(tmp_path / "none")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(SessionCorruptError, match="not a session"):
        open_store(tmp_path / "text")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SessionCorruptError):
        open_store(tmp_path / "empty")


def test_damage_of_a_finished_directory_is_seen(tmp_path):
    path = synthetic.make_session(tmp_path / "a.wb", rows=200, saved=False)
    file = path / "cpu.parquet"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.write_bytes(data)
    with pytest.raises(SessionCorruptError, match="CRC"):
        tables(open_store(path))
