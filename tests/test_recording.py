from __future__ import annotations

from datetime import timedelta

import pytest
import synthetic

from workbench.errors import MissingTableError, QueryError, SessionNotFoundError
from workbench.recording import Recording


@pytest.fixture(scope="module")
def rec(tmp_path_factory):
    path = tmp_path_factory.mktemp("recording") / "a.wb"
    with Recording.open(synthetic.make_session(path, rows=400)) as opened:
        yield opened


def test_what_it_is(rec):
    assert rec.kinds == ("syscalls", "cpu")
    assert rec.state == "complete"
    assert rec.duration == timedelta(seconds=10)
    assert rec.start.isoformat() == "2025-10-09T08:53:20+00:00"
    assert list(rec.tables) == ["cpu", "syscalls", "frames", "processes", "stacks"]
    assert rec.events.name == "syscalls"
    assert [table.name for table in rec] == list(rec.tables)


def test_events_of_an_aggregated_capture(tmp_path):
    path = synthetic.make_session(tmp_path / "a.wb", kinds=("syscalls_agg",))
    rec = Recording.open(path)
    rec._store.manifest = rec.manifest.__class__(kinds={"syscalls": {}}, start_ns=1)
    assert rec.events.name == "syscalls_agg"
    rec._store.manifest = rec.manifest.__class__(kinds={}, start_ns=1)
    with pytest.raises(MissingTableError):
        _ = rec.events


def test_missing_table_lists_those_there_are(rec):
    with pytest.raises(MissingTableError, match="cpu, syscalls"):
        rec["tcp"]
    with pytest.raises(SessionNotFoundError):
        Recording.open("/nonexistent.wb")


def test_sql(rec):
    found = rec.sql("select count(*) as n from CPU where comm = 'bash'")
    assert found.item() == (synthetic.truth(rows=400).comm["cpu"] == "bash").sum()
    joined = rec.sql(
        "select sum(c.weight) from cpu c join stacks s on c.stack_id = s.stack_id"
    ).item()
    assert joined == synthetic.truth(rows=400).columns["cpu"]["weight"].sum()


def test_sql_indexes_arguments_from_one(rec):
    calls = rec["syscalls"].polars()
    found = rec.sql("select args[1] as first, args[3] as third from syscalls")
    assert found["first"].to_list() == calls["args"].arr.get(0).to_list()
    assert found["third"].to_list() == calls["args"].arr.get(2).to_list()


@pytest.mark.parametrize(
    "query",
    ["select nothing from cpu", "select * from tcp", "selec", "", "select ts + comm from cpu"],
)
def test_sql_errors_list_tables_and_columns(rec, query):
    with pytest.raises(QueryError, match="SQL") as caught:
        rec.sql(query)
    assert "cpu(ts, cpu, pid, tid, comm, stack_id, weight)" in caught.value.advice


def test_seconds_are_those_of_the_window(rec):
    whole = rec.duration.total_seconds()
    assert rec.seconds == pytest.approx(whole)
    assert rec.window(0.1 * whole, 0.3 * whole).seconds == pytest.approx(0.2 * whole, rel=1e-3)
    assert rec.window(0.5 * whole).seconds == pytest.approx(0.5 * whole, rel=1e-3)


def test_losses_and_overhead(rec):
    assert rec.losses.columns == ["kind", "cpu", "produced", "delivered", "dropped", "ring_full"]
    assert (
        rec.losses["produced"].sum() == rec.losses["delivered"].sum() + rec.losses["dropped"].sum()
    )
    assert rec.overhead["program"].to_list() == ["wb_syscalls", "wb_cpu"]


def test_where_needs_a_column_that_some_table_has(tmp_path):
    rec = Recording.open(synthetic.make_session(tmp_path / "a.wb", kinds=("cpu",), rows=10))
    with pytest.raises(QueryError, match="No table has the column name"):
        rec.where(name="read")
    with pytest.raises(QueryError, match="nothing"):
        rec.where(expr="nothing > 0")


def test_save_all_and_a_part(rec, tmp_path):
    whole = Recording.open(rec.save(tmp_path / "whole.wb"), verify=True)
    assert whole["cpu"].arrow().equals(rec["cpu"].arrow())
    part = rec.window(2.0, 6.0).where(comm="bash")
    saved = Recording.open(part.save(tmp_path / "part.wb"), verify=True)
    for name in ("cpu", "syscalls", "frames"):
        assert saved[name].polars().equals(part[name].polars())
    assert "comm = bash" in saved.manifest.reason
    assert {path.name for path in tmp_path.iterdir()} == {"whole.wb", "part.wb"}


def test_save_a_running_and_a_recovered_session(tmp_path):
    writer = synthetic.write_streams(tmp_path / "a", rows=50)
    rec = Recording.open(tmp_path / "a")
    saved = Recording.open(rec.save(tmp_path / "one.wb"))
    assert saved.state == "recovered"
    assert "while it was recorded" in saved.manifest.reason
    writer.close()
    (tmp_path / "a" / "recorder.pid").unlink()
    rec = Recording.open(tmp_path / "a")
    assert rec.state == "recovered"
    last = max(int(c["ts"].max()) for c in synthetic.truth(rows=50).columns.values())
    assert rec.duration == timedelta(microseconds=(last - synthetic.START) // 1000)
    saved = Recording.open(rec.save(tmp_path / "two.wb"))
    assert saved["cpu"].polars().equals(rec["cpu"].polars())


def test_a_part_of_an_aggregated_session_can_be_saved(tmp_path):
    rec = Recording.open(synthetic.make_session(tmp_path / "a.wb", kinds=("syscalls_agg", "cpu")))
    saved = Recording.open(rec.where(pid=1).save(tmp_path / "b.wb"))
    assert set(saved["syscalls_agg"].polars()["pid"]) == {1}


def test_refresh_and_derived_recordings(tmp_path):
    writer = synthetic.write_streams(tmp_path / "a", kinds=("cpu",), rows=50)
    rec = Recording.open(tmp_path / "a")
    part = rec.where(pid=1)
    before = part["cpu"].num_rows
    assert rec.duration > timedelta(days=1)  # still running: up to now
    batch = synthetic.batch_of("cpu", synthetic.truth(("cpu",), 50).columns["cpu"])
    writer.append("cpu", batch)
    assert part.refresh()
    assert part["cpu"].num_rows == 2 * before
    writer.finish()
    assert rec.refresh()
    assert (rec.state, part["cpu"].num_rows) == ("complete", 2 * before)


class Special(Recording):
    """A subclass, as Session is one."""


def test_subclasses_stay_subclasses(rec):
    special = Special.open(rec.path)
    assert type(special.window(0.0, 1.0).where(pid=1)) is Special
    assert repr(special).startswith("<Special")


def test_the_whole_of_a_part(rec):
    part = rec.where(pid=1000).window(1.0, 2.0)
    assert part.whole.selection == rec.selection
    assert part.whole["syscalls"].num_rows == rec["syscalls"].num_rows > part["syscalls"].num_rows
    assert type(part.whole) is type(rec)
