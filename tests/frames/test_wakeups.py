"""Chains of wake-ups that were made by hand."""

import polars as pl

from workbench.frames.wakeups import follow

TIME = pl.Datetime("ns", "UTC")
NAMES = pl.DataFrame(
    {"tid": [1, 2, 3], "comm": ["a", "b", "c"]}, schema_overrides={"tid": pl.UInt32}
)


def runs(*rows):
    """(ts, tid, latency, waker, waker_tid) each."""
    schema = {"ts": pl.Int64, "tid": pl.UInt32, "latency": pl.Int64, "waker": pl.String,
              "waker_tid": pl.UInt32}  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row").cast({"ts": TIME})


LINE = runs(
    (10, 1, 2, "interrupt", 0),
    (30, 2, 5, "task", 1),
    (60, 3, 5, "task", 2),
    (90, 1, 5, "task", 3),
)


def test_each_run_is_the_end_of_a_chain():
    found = dict(follow(LINE, NAMES, 9).select("chain", "length").iter_rows())
    assert found == {
        "a ← c ← b ← a ← interrupt": 4,
        "c ← b ← a ← interrupt": 3,
        "b ← a ← interrupt": 2,
        "a ← interrupt": 1,
    }


def test_the_run_that_woke_is_the_one_at_that_time():
    """What woke the waker later does not count."""
    later = pl.concat([LINE.head(2), runs((28, 1, 1, "task", 3))])
    assert "b ← a ← interrupt" in follow(later, NAMES, 9)["chain"].to_list()


def test_a_preempted_waker_ends_the_chain():
    preempted = runs((10, 1, 0, "none", 0), (30, 2, 5, "task", 1))
    assert follow(preempted, NAMES, 9)["chain"].to_list() == ["b ← a"]


def test_threads_without_a_name():
    assert follow(runs((10, 9, 1, "task", 8)), NAMES, 9)["chain"].to_list() == [
        "thread 9 ← thread 8"
    ]


def test_times_reach_from_the_first_wake_up():
    found = follow(LINE, NAMES, 2).filter(chain="c ← b ← a")
    assert found["max"].cast(pl.Int64).to_list() == [60 - 25]
