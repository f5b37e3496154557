from __future__ import annotations

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import synthetic
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import QueryError, SessionCorruptError, SessionError
from workbench.recording import Recording
from workbench.table import batches, collected

KINDS = ("syscalls", "cpu", "syscalls_agg")
TRUTH = synthetic.truth(KINDS, 3000, 4)
START, SECOND = synthetic.START, synthetic.SECOND


@pytest.fixture(scope="module", params=["saved", "live"])
def rec(request, tmp_path_factory):
    place = tmp_path_factory.mktemp("table")
    if request.param == "saved":
        yield Recording.open(synthetic.make_session(place / "a.wb", kinds=KINDS, rows=3000, seed=4))
    else:
        writer = synthetic.write_streams(place / "a", kinds=KINDS, rows=3000, seed=4)
        yield Recording.open(place / "a")
        writer.close()


def reference(kind):
    """The table as pandas, made from the truth without the workbench's reader."""
    data = TRUTH.columns[kind]
    frame = pd.DataFrame({k: v for k, v in data.items() if v.ndim == 1})
    return frame.assign(comm=TRUTH.comm[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_all_forms_are_equal(rec, kind):
    table = rec[kind]
    arrow = table.arrow()
    assert arrow.schema.equals(table.schema, check_metadata=True)
    assert arrow.num_rows == table.num_rows == len(table) == len(reference(kind))
    polars = table.polars()
    assert polars.equals(pl.DataFrame(arrow))
    assert polars.equals(table.lazy().collect())
    assert polars.equals(pl.DataFrame(table))  # __arrow_c_stream__
    assert pa.table(table).equals(arrow)
    pandas = table.pandas()
    assert all(isinstance(kind, pd.ArrowDtype) for kind in pandas.dtypes)
    assert list(pandas.columns) == arrow.schema.names == polars.columns
    assert pandas["comm"].tolist() == polars["comm"].to_list() == TRUTH.comm[kind].tolist()
    assert pa.Table.from_pandas(pandas, preserve_index=False)["ts"].equals(arrow["ts"])
    assert rec.sql(f"select * from {kind}").equals(polars)


def test_values_are_those_that_were_recorded(rec):
    data = TRUTH.columns["syscalls"]
    arrow = rec["syscalls"].arrow()
    for name in ("cpu", "pid", "tid", "nr", "ret"):
        assert arrow[name].to_pylist() == data[name].tolist()
    assert arrow["ts"].cast(pa.int64()).to_pylist() == data["ts"].tolist()
    assert arrow["latency"].cast(pa.int64()).to_pylist() == data["latency"].tolist()
    assert arrow["args"].to_pylist() == data["args"].tolist()
    assert set(arrow["weight"].to_pylist()) == {1}


def test_later_rows_replace_earlier_ones(rec):
    agg = rec["syscalls_agg"].polars()
    assert agg["calls"].to_list() == TRUTH.columns["syscalls_agg"]["calls"].tolist()
    frames = rec["frames"].polars()
    assert frames["function"].to_list() == [frame[0] for frame in synthetic.FRAMES]
    assert rec["frames"].num_rows == len(synthetic.FRAMES)


def test_lazy_reads_only_what_is_needed(rec, monkeypatch):
    asked = []
    source = type(rec["syscalls"]._source())
    original = source.batches
    monkeypatch.setattr(source, "batches", lambda *args: asked.append(args[1]) or original(*args))
    rec["syscalls"].lazy().group_by("comm").agg(pl.col("ret").max()).collect()
    rec.where(pid=2000)["syscalls"].lazy().select("nr").head(3).collect()
    assert set(asked[0]) == {"comm", "ret"}
    assert set(asked[1]) == {"pid", "nr"}
    assert rec["syscalls"].lazy().head(7).collect().height == 7


VALUES = st.fixed_dictionaries(
    {},
    optional={
        "pid": st.lists(st.sampled_from([1, 1000, 2000, 2100, 5]), max_size=3),
        "tid": st.sampled_from([1, 1001, 1002, 9999]),
        "comm": st.lists(st.sampled_from(["bash", "cat", "job", "", "no"]), max_size=3),
        "cpu": st.sampled_from([0, 1, 7]),
    },
)
TIMES = st.none() | st.floats(0, 10, allow_nan=False)


@settings(max_examples=40, deadline=None)
@given(values=VALUES, ends=st.tuples(TIMES, TIMES), errors=st.booleans())
def test_selections_equal_pandas(rec, values, ends, errors):
    t0, t1 = ends
    if t0 is not None and t1 is not None and t1 < t0:
        t0, t1 = t1, t0
    part = rec.window(t0, t1).where(**values)
    part = part.where(expr=pl.col("ret") < 0) if errors else part
    for kind in ("syscalls", "cpu"):
        expected = reference(kind)
        low = START + round(t0 * 1e9) if t0 is not None else 0
        high = START + round(t1 * 1e9) if t1 is not None else 1 << 62
        expected = expected[(expected.ts >= low) & (expected.ts < high)]
        for column, wanted in values.items():
            wanted = wanted if isinstance(wanted, list) else [wanted]
            expected = expected[expected[column].isin(wanted)]
        if errors and kind == "syscalls":
            expected = expected[expected.ret < 0]
        arrow = part[kind].arrow()
        assert arrow.schema.equals(rec[kind].schema, check_metadata=True)
        assert arrow["ts"].cast(pa.int64()).to_pylist() == expected.ts.tolist()
        assert arrow["comm"].to_pylist() == expected.comm.tolist()
        assert part[kind].polars().equals(pl.DataFrame(arrow))
        assert part[kind].num_rows == len(expected)
        counted = part.sql(f"select count(*) as n from {kind}")
        assert counted.item() == len(expected)


def test_selections_are_independent_and_lazy(rec):
    one = rec.where(comm="cat")
    two = one.where(cpu=0)
    assert rec["cpu"].num_rows == 3000
    assert one["cpu"].num_rows > two["cpu"].num_rows > 0
    assert one["frames"].num_rows == len(synthetic.FRAMES)


def test_an_expression_over_all_rows(rec):
    condition = pl.col("ret") > pl.col("ret").mean()
    part = rec.where(expr=condition)["syscalls"]
    ret = reference("syscalls").ret.astype(float)
    assert part.arrow().num_rows == part.polars().height == (ret > ret.mean()).sum()


def test_sql_expression(rec):
    part = rec.where(expr="ret < 0 and comm = 'job'")["syscalls"].polars()
    expected = reference("syscalls").query("ret < 0 and comm == 'job'")
    assert part["ts"].cast(pl.Int64).to_list() == expected.ts.tolist()


def test_rows_of_processes_before_a_window_are_kept(rec):
    ts = rec.window(2.0, 5.0)["processes"].polars()["ts"].cast(pl.Int64)
    assert ts.to_list() == [
        START + round(row[0] * SECOND) for row in synthetic.PROCESSES if row[0] < 5
    ]


def test_aggregated_tables_cannot_be_cut_in_time(rec):
    with pytest.raises(QueryError, match="whole recording"):
        rec.window(0.0, 1.0)["syscalls_agg"].polars()
    assert rec.where(pid=1)["syscalls_agg"].num_rows == len(synthetic.NRS)


def test_a_query_that_cannot_run(rec):
    with pytest.raises(QueryError):
        _ = rec.where(expr=pl.col("comm") > 5)["cpu"].num_rows


@pytest.mark.parametrize("streaming", [True, False])
def test_sums_and_errors_do_not_depend_on_how_rows_are_read(rec, streaming, monkeypatch):
    monkeypatch.setenv("POLARS_ENGINE_AFFINITY", "in-memory")
    sums = rec["cpu"].lazy().group_by("comm").agg(pl.col("weight").cast(pl.Int64).sum())
    expected = reference("cpu").groupby("comm").weight.sum()
    found = collected(sums, streaming=streaming)
    assert dict(found.with_columns(pl.col("comm").cast(pl.String)).iter_rows()) == dict(expected)
    with pytest.raises(QueryError):
        collected(rec.where(expr=pl.col("comm") > 5)["cpu"].lazy(), streaming=streaming)

    def fail(*_arguments):
        raise MemoryError

    monkeypatch.setattr(type(rec["cpu"]._source()), "batches", fail)
    with pytest.raises(SessionCorruptError):
        collected(sums, streaming=streaming)
    with pytest.raises(SessionCorruptError):
        list(batches(rec["cpu"].lazy(), 100))


def test_rows_come_in_slices_and_in_order(rec):
    parts = list(batches(rec["cpu"].lazy().select("ts", "weight"), 700))
    assert len(parts) > 3
    assert pl.concat(parts).equals(rec["cpu"].polars().select("ts", "weight"))
    with pytest.raises(QueryError):
        list(batches(rec.where(expr=pl.col("comm") > 5)["cpu"].lazy(), 700))


def test_slices_are_the_selected_rows_in_order(rec):
    wanted = ["weight", "comm", "ts"]
    selections = (rec, rec.where(pid=1000), rec.window(0.1, 0.2), rec.where(expr=pl.col("cpu") > 0))
    for part in (*selections, rec.where(pid=77)):
        slices = list(part["cpu"].slices(wanted, 700))
        assert all(len(each) <= 700 for each in slices)
        expected = part["cpu"].polars().select(wanted)
        found = pl.concat(slices) if slices else expected.clear()
        assert found.columns == wanted
        assert found.equals(expected)


def test_errors_while_reading_reach_the_caller(tmp_path, monkeypatch):
    path = synthetic.make_session(tmp_path / "a.wb", rows=10)
    rec = Recording.open(path)
    frame = rec["cpu"].lazy()
    monkeypatch.setattr(
        type(rec["cpu"]._source()), "_may_meet", lambda *_: (_ for _ in ()).throw(MemoryError)
    )
    with pytest.raises(SessionCorruptError):
        frame.collect()
    table = rec["cpu"]
    rec.close()
    with pytest.raises(SessionError, match="closed"):
        table.arrow()


def test_repr(rec):
    assert "3,000 rows" in repr(rec["cpu"])
    assert "selected" in repr(rec.where(pid=1)["cpu"])


@pytest.mark.parametrize("kind", KINDS)
def test_batches_of_some_columns(rec, kind):
    wanted = ["pid", "ts"]
    for part in (rec, rec.where(pid=1000), rec.where(pid=1000, expr="cast(ts as bigint) % 2 = 0")):
        batches = list(part[kind].batches(wanted))
        table = pa.Table.from_batches(batches)
        assert table.column_names == wanted
        assert table.equals(part[kind].arrow().select(wanted))
        assert part is rec or set(table["pid"].to_pylist()) == {1000}
