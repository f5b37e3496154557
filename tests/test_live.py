"""Batches that are followed while they are written: each row once, none missing."""

import asyncio
import itertools
import threading
import time

import polars as pl
import pyarrow as pa
import pytest
import synthetic

import workbench as wb
from workbench.errors import MissingTableError, ParameterError, QueryError
from workbench.store.lock import is_live

ROWS = 5000
KIND = "syscalls"


@pytest.fixture
def growing(tmp_path):
    """A session that gets its second half, and its end, while it is followed."""
    path = tmp_path / "s.wb"
    answer = synthetic.truth((KIND,), ROWS, 3)
    batch = synthetic.batch_of(KIND, answer.columns[KIND])
    writer = synthetic.write_streams(path, kinds=(KIND,), rows=ROWS, seed=3, batch_rows=700)
    assert is_live(path)
    goes_on = threading.Event()

    def write():
        goes_on.wait(20)
        for at in range(0, ROWS, 90):
            writer.append(KIND, batch.slice(at, 90))
            time.sleep(0.001)
        writer.finish(reason="over", **synthetic.final_changes((KIND,), 2 * ROWS))

    thread = threading.Thread(target=write)
    thread.start()
    yield wb.open(path), goes_on
    goes_on.set()
    thread.join()
    writer.close()


def expected():
    answer = synthetic.truth((KIND,), ROWS, 3)
    return answer.columns[KIND]["ts"].astype("int64").tolist()


def times(batches):
    return [t for batch in batches for t in batch.column("ts").cast(pa.int64()).to_pylist()]


def test_blocking(growing):
    session, goes_on = growing
    goes_on.set()
    batches = list(session.live(interval=0.003, max_rows=1000))
    assert times(batches) == expected() * 2
    assert len(batches) > 10
    assert max(batch.num_rows for batch in batches) <= 1000
    assert session.state == "complete"
    assert "comm" in batches[0].schema.names
    assert times(session.live()) == expected() * 2  # once more, from the first row


def test_while_the_event_loop_goes_on(growing):
    session, goes_on = growing
    turns = []

    async def tick():
        while True:
            turns.append(time.monotonic())
            await asyncio.sleep(0.002)

    async def follow():
        ticking = asyncio.create_task(tick())
        found = []
        async for batch in session.live(interval=0.003):
            found.append(batch)
            goes_on.set()
        ticking.cancel()
        return found

    assert times(asyncio.run(follow())) == expected() * 2
    assert len(turns) > 10


def test_what_comes_from_now_on(growing):
    session, goes_on = growing
    live = iter(session.live(interval=0.003, new=True))
    first = []
    reader = threading.Thread(target=lambda: first.extend(live))
    reader.start()
    time.sleep(0.2)
    assert not first
    goes_on.set()
    reader.join(20)
    assert times(first) == expected()


@pytest.mark.parametrize("saved", [True, False])
@pytest.mark.parametrize("max_rows", [1, 7, 2500, 1 << 20])
def test_a_finished_session(tmp_path, saved, max_rows):
    path = synthetic.make_session(tmp_path / "s.wb", kinds=(KIND, "cpu"), rows=300, saved=saved)
    session = wb.open(path)
    batches = list(session.live(max_rows=max_rows))
    assert [batch.num_rows for batch in batches[:-1]] == [max_rows] * (len(batches) - 1)
    assert pa.Table.from_batches(batches).num_rows == 300
    assert len(list(session.live("cpu", new=True, max_rows=max_rows))) > 0  # it is over: all rows


def test_selected_rows(growing):
    session, goes_on = growing
    goes_on.set()
    part = session.where(name="read")
    found = list(part.live(interval=0.003, format="polars"))
    names = pl.concat([frame.select(pl.col("name").cast(pl.String)) for frame in found])["name"]
    assert set(names) == {"read"}
    assert len(names) == session.where(name="read")[KIND].num_rows > 0


def test_a_selection_that_nothing_meets(growing):
    session, goes_on = growing
    goes_on.set()
    assert list(session.where(tid=4_000_000_000).live(interval=0.003)) == []


def test_formats(tmp_path):
    session = wb.open(synthetic.make_session(tmp_path / "s.wb", kinds=(KIND,), rows=50))
    (arrow,), (polars,), (pandas,) = (
        list(session.live(format=name)) for name in ("arrow", "polars", "pandas")
    )
    assert isinstance(arrow, pa.RecordBatch)
    assert polars.equals(pl.DataFrame(arrow))
    assert pandas["tid"].tolist() == polars["tid"].to_list()
    assert list(pandas.columns) == polars.columns


def test_batches_with_dictionaries_of_their_own(tmp_path):
    path = tmp_path / "s.wb"
    writer = synthetic.write_streams(path, kinds=("offcpu",), rows=100, seed=1, batch_rows=9)
    session = wb.open(path)
    first = list(itertools.islice(session.live("offcpu", max_rows=40), 2))
    assert [batch.num_rows for batch in first] == [36, 36]
    writer.finish(reason="over", **synthetic.final_changes(("offcpu",), 100))
    writer.close()
    frames = list(session.live("offcpu", max_rows=40, format="polars"))
    states = pl.concat([frame.select(pl.col("state").cast(pl.String)) for frame in frames])
    assert (
        states["state"].to_list() == session["offcpu"].polars()["state"].cast(pl.String).to_list()
    )


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"max_rows": 0}, ParameterError),
        ({"max_rows": 1.5}, ParameterError),
        ({"interval": 0}, ParameterError),
        ({"format": "numpy"}, ParameterError),
        ({"table": "frames"}, QueryError),
        ({"table": "no_such"}, MissingTableError),
    ],
)
def test_what_cannot_be_followed(tmp_path, options, error):
    session = wb.open(synthetic.make_session(tmp_path / "s.wb", rows=50))
    with pytest.raises(error):
        session.live(**options)


@pytest.mark.kernel
@pytest.mark.usefixtures("nothing_left")
def test_a_real_capture(tmp_path):
    """Every call of dd, followed while it runs."""
    command = ["dd", "if=/dev/zero", "of=/dev/null", "bs=1", "count=200000"]
    capture = wb.capture("syscalls", command=command, output=tmp_path / "s.wb", wait=False)
    capture.start()
    stop = threading.Thread(target=capture.wait)
    stop.start()
    counts = [
        frame.select((pl.col("name").cast(pl.String) == "write").sum()).item()
        for frame in capture.session.live(format="polars")
    ]
    stop.join()
    assert len(counts) > 1
    whole = wb.open(tmp_path / "s.wb")
    assert sum(counts) == whole.where(name="write")["syscalls"].num_rows
    assert sum(counts) - 200_000 <= 10  # dd's own lines at its end
