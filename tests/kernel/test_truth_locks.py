"""Waits for locks of a program that knows its owners, waits and hold times."""

import shutil
import subprocess
import time
from pathlib import Path

import polars as pl
import pytest
from programs import compiled

import workbench as wb
from workbench.frames import locks
from workbench.frames.flame import flame_tree
from workbench.probe.tracepoints import argument_count

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("nothing_left")]

STACKED = {"stacks": True}


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    source = Path(__file__).with_name("locks.c").read_text()
    folder = tmp_path_factory.mktemp("locks")
    return str(compiled(folder, "locks", source, "gcc", "-O1", "-g", "-pthread"))


def capture(tmp_path, command, **options):
    return wb.capture("locks", command=command, output=tmp_path / "s.wb", **options)


def events(session, **conditions):
    """Events with the times of the boot clock, which programs can read."""
    offset = session.manifest.clock["offset_start_ns"]
    found = (
        session["locks"]
        .polars()
        .with_columns(
            pl.col("ts").dt.timestamp("ns") - offset,
            pl.col("waited", "held").cast(pl.Int64),
            pl.col("event", "type").cast(pl.String),
        )
    )
    return found.filter(**conditions)


def check_losses(session):
    losses = session.losses.filter(kind="locks")
    assert losses["delivered"].sum() == losses["produced"].sum() == session["locks"].num_rows


@pytest.mark.parametrize(
    ("what", "options"),
    [("hold", {}), ("hold", {"transport": "perf"}), ("hold", STACKED), ("pi", {})],
    ids=["ring", "perf", "stacks", "pi"],
)
def test_who_waited_for_whom_and_how_long_they_had_it(tmp_path, capfd, program, what, options):
    session = capture(tmp_path, [program, what], **options)
    lines = capfd.readouterr().out.split("\n")
    turns = [tuple(map(int, line.split())) for line in lines if line.count(" ") == 3]
    (address,) = [int(line, 16) for line in lines if line.startswith("0x")]
    assert len(turns) == 36
    check_losses(session)
    mine = events(session, lock=address, type="futex_pi" if what == "pi" else "futex")
    waits, wakes = (mine.filter(event=event) for event in ("wait", "wake"))
    owners = pl.DataFrame(turns, ["tid", "wanted", "got", "done"], orient="row")
    assert set(mine["tid"]) <= set(owners["tid"])
    for tid, wanted, got, done in turns:
        # All of its waits for the lock are within the time that it wanted it.
        within = waits.filter(pl.col("ts").is_between(wanted, got), tid=tid).sort("ts")
        assert within["waited"].sum() <= got - wanted
        for row in within.filter(pl.col("waited") > 500_000).iter_rows(named=True):
            has = owners.filter(pl.col("got") <= row["ts"], pl.col("done") >= row["ts"])
            if has.height:  # else it was just between the hands of two threads
                assert row["owner_tid"] in (has["tid"][0], 0)
            assert row["waker_tid"] in (*owners["tid"], 0)
        # It was given back right after `done`, before it was wanted again.
        next_ = owners.filter(pl.col("wanted") > done, tid=tid)["wanted"].min() or 1 << 62
        back = wakes.filter(pl.col("ts").is_between(done, next_), tid=tid)
        assert back.height <= 1
        if within.height and what == "hold":
            assert back["held"].to_list() > [0]
        for held in back.filter(pl.col("held") > 0)["held"]:
            assert held == back["ts"][0] - within["ts"][-1] - within["waited"][-1] >= done - got
    # Who waited, says the program, did so here: but for the time that it had no CPU before.
    waiting = sum(got - wanted for _, wanted, got, _ in turns)
    assert waits["waited"].sum() >= 0.3 * waiting
    assert set(waits.filter(pl.col("waited") > 500_000)["owner_tid"]) & set(owners["tid"])
    table = locks.by_lock(session).filter(lock=address)
    assert table["threads"].to_list() == [waits["tid"].n_unique()]
    assert table["waits"][0] == waits.height
    assert table["holds"][0] == (wakes["held"] > 0).sum()
    named = locks.blockers(session).filter(pl.col("owner_tid") > 0, lock=address)
    assert set(named["owner_tid"]) <= set(owners["tid"])
    if options == STACKED:
        check_stacks(session, mine)


def check_stacks(session, mine):
    frames = dict(session["frames"].polars().select("frame_id", "function").iter_rows())
    names = {
        number: {frames[frame] for frame in ids}
        for number, ids in session["stacks"].polars().iter_rows()
    }
    whole = mine.filter(pl.col("stack_status").cast(pl.String) == "complete")
    assert whole.height > 0.5 * mine.height  # the first come before the tables of unwinding
    assert all("take_turns" in names[number] for number in whole["stack_id"])
    everything = events(session, event="wait")
    assert locks.by_stack(session)["waits"].sum() == everything.height
    tree = flame_tree(session, "locks", by=())
    assert (tree.unit, tree.total) == ("ns", everything["waited"].sum())
    assert "take_turns" in tree.names
    assert session.flamegraph("locks").title == "locks: time waiting for locks"


def test_a_deadlock_is_what_waits_at_the_end(tmp_path, program):
    with subprocess.Popen([program, "deadlock"], stdout=subprocess.PIPE, text=True) as child:
        try:
            child.stdout.readline()
            time.sleep(0.2)  # both wait before the capture begins: nothing is seen of them
            with wb.capture("locks", pid=child.pid, output=tmp_path / "s.wb"):
                time.sleep(0.2)
            assert locks.stuck(wb.open(tmp_path / "s.wb")).is_empty()
        finally:
            child.kill()


@pytest.mark.parametrize("options", [{}, STACKED], ids=["plain", "stacks"])
def test_a_deadlock_from_its_beginning(tmp_path, program, options):
    session = wb.capture("locks", command=[program, "deadlock"], duration=1.0,
                         output=tmp_path / "s.wb", **options)  # fmt: skip
    found = locks.stuck(session)
    assert found.height == 2
    assert found["pid"].n_unique() == 1
    # Each waits for the lock that the other one has.
    first, second = found.select("tid", "owner_tid").rows()
    assert first == second[::-1]
    assert found["waited"].min().total_seconds() > 0.1
    check_losses(session)


def test_locks_of_the_kernel(tmp_path, capfd, program):
    if not argument_count("contention_begin"):
        pytest.skip("this kernel has no tracepoints for its locks")
    shared = Path("/dev/shm")
    path = (shared if shared.is_dir() else tmp_path) / f"workbench-{tmp_path.name}"
    try:
        session = capture(tmp_path, [program, "file", str(path)])
    finally:
        path.unlink(missing_ok=True)
    told = [tuple(map(int, line.split())) for line in capfd.readouterr().out.splitlines()]
    assert len(told) == 6
    found = events(session, event="wait").filter(pl.col("type").is_in(["mutex", "rwsem_write"]))
    seen = 0
    for tid, writer, start, end in told:
        within = found.filter(pl.col("ts").is_between(start, end), tid=tid, owner_tid=writer)
        assert within["waited"].sum() <= end - start
        if end - start > 10_000_000:
            seen += within["waited"].sum() > 0.8 * (end - start)
    assert seen >= sum(end - start > 10_000_000 for *_, start, end in told) - 1
    check_losses(session)
    without = capture(tmp_path, [program, "hold"], kernel=False, overwrite=True)
    assert set(events(without)["type"]) == {"futex"}
    assert not {"contention_begin", "contention_end"} & set(without.overhead["program"])


def test_counts_made_in_the_kernel(tmp_path, capfd, program):
    session = capture(tmp_path, [program, "hold"], aggregate=True)
    lines = capfd.readouterr().out.split("\n")
    turns = [tuple(map(int, line.split())) for line in lines if line.count(" ") == 3]
    (address,) = [int(line, 16) for line in lines if line.startswith("0x")]
    (row,) = locks.by_lock(session).filter(lock=address).iter_rows(named=True)
    assert row["waited"].total_seconds() * 1e9 <= sum(got - want for _, want, got, _ in turns)
    assert row["waits"] > 10
    assert row["held"].total_seconds() * 1e9 > 0
    rows = session["locks_agg"].polars()
    assert (rows["waited_hist"].arr.sum() == rows["waits"]).all()
    losses = session.losses.filter(kind="locks")
    assert losses["delivered"].sum() == losses["produced"].sum() == rows["events"].sum()


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_as_many_calls_as_strace_counts(tmp_path, program):
    counts = tmp_path / "counts"
    strace = ["strace", "-f", "-c", "-o", str(counts), "-e", "futex", program, "hold"]
    session = capture(tmp_path, strace, kernel=False)
    (row,) = [line.split() for line in counts.read_text().splitlines() if "futex" in line]
    calls = events(session).filter(pl.col("comm").cast(pl.String) == "locks")
    assert calls.height == int(row[3])
    assert calls["errno"].count() == int(row[4] if len(row) == 6 else 0)


def test_short_waits_can_be_left_out(tmp_path, capfd, program):
    found = events(capture(tmp_path, [program, "hold"], min_us=1000), event="wait", open=0)
    assert found["waited"].min() >= 1_000_000
