"""The user's own probes on a program whose calls, arguments and results are known."""

import subprocess
from collections import Counter

import numpy as np
import polars as pl
import pytest
from probed import OPTIONS, SOURCE, captured, last, planned_on, rows
from programs import compiled

import workbench as wb
from workbench.errors import ParameterError

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("nothing_left")]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return compiled(tmp_path_factory.mktemp("probed"), "probed", SOURCE, "gcc", *OPTIONS)


@pytest.fixture(scope="module")
def bare(program, tmp_path_factory):
    """The same without debug information: names, and no types."""
    path = tmp_path_factory.mktemp("bare") / "probed"
    subprocess.run(["strip", "-g", "-o", path, program], check=True)
    return path


WIDTHS = [
    (-1, -2, -3, -4, 255, 65535, 2**32 - 1, 2**64 - 1),
    (1, 2, 3, 4, 5, 6, 7, 8),
]
STRUCT = {
    **{"a": "o.in.a", "b": "args.o.in.b", "inner": "o.in.name", "deep": "o.in.next.name"},
    **{"flag": "o.flag", "s": "o.s", "low": "o.low", "mid": "o.mid", "top": "o.top"},
    **{"first": "o.first", "third": "o.bytes[2]", "label": "o.label", "n": "o.numbers[3]"},
    **{"colour": "colour", "yes": "yes", "at": "ptr(o.label)"},
}
BARE = [
    *("i8(arg0)", "b=i16(arg1)", "c=i32(arg2)", "d=i64(arg3)", "e=u8(arg4)", "g=u32(arg6)"),
    "h=arg7",
]
KEPT = {
    # function, filter: field, its values where the filter holds
    ("widths", "a < 0"): ("b", [-2]),
    ("widths", "a < 0 and c >= -3"): ("b", [-2]),
    ("widths", "h > 9"): ("b", [-2]),
    ("widths", "d > -4"): ("b", [2]),
    ("say", "text == 'hello wörld'"): ("text", ["hello wörld"]),
    ("say", "text != 'hello wörld'"): ("text", ["not \ufffd text", ""]),  # null is unlike
    ("look", "retval < 0"): ("colour", [-1]),
    ("look", "o.in.a == -3 and retval == 3"): ("colour", [5]),
}


@pytest.fixture(scope="module")
def values(program, bare):
    """One run of both programs, looked at by many probes."""

    def on(function, *fields, kind="uprobe", file=program, **more):
        return {"probe": f"{kind}:{file}:{function}", "fields": fields or None, **more}

    probes = {
        "widths": on("widths"),
        "bare_widths": on("widths", *BARE, file=bare),
        "look": on("look", *(f"{name}={text}" for name, text in STRUCT.items())),
        "say": on("say"),
        "say_short": on("say", "str(text, 6)", "u8p(text)[1]"),
        "real": on("real"),
        "widths_returned": on("widths", kind="uretprobe"),
        "look_returned": on("look", kind="uretprobe"),
        "bare_returned": on("widths", kind="uretprobe", file=bare),
        "say_returned": on("say", kind="uretprobe"),
        "look_both": on("look", "flag=args.o.flag", "retval"),
        "widths_groups": on("widths", aggregate=["min(a)", "max(a)", "sum(a)", "avg(a)"]),
        "look_groups": on("look", aggregate=["sum(o.s)", "min(o.s)"], by="yes"),
    }
    for number, ((function, text), (field, _)) in enumerate(KEPT.items()):
        probes[f"kept_{number}"] = on(function, field, filter=text)
    command = ["sh", "-c", f"{program} values; {bare} values"]
    return wb.probe(probes, command=command, ring_bytes=1 << 16)


def test_whole_numbers_of_each_width(values, program):
    frame = rows(values, "widths")
    assert frame.select(list("abcdefgh")).rows() == WIDTHS
    kinds = [pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64]
    assert frame.select(list("abcdefgh")).dtypes == kinds
    assert frame["comm"].cast(pl.String).to_list() == ["probed"] * 2
    assert frame["pid"].to_list() == frame["tid"].to_list()


def test_numbers_without_types(values):
    frame = rows(values, "bare_widths")
    wanted = [(-1, -2, -3, -4, 255, 2**32 - 1, 2**64 - 1), (1, 2, 3, 4, 5, 7, 8)]
    assert frame.select(["arg0", *"bcdegh"]).rows() == wanted


def test_structs_by_name(values):
    frame = rows(values, "look")
    first, second = frame.select([n for n in STRUCT if n != "at"]).rows()
    numbers = (200, -300, 5, 100, -2, 0x04030201, 3)
    assert first == (-3, 1 << 40, "inner name", "last", *numbers, "a label", 40, 5, 1)
    assert second == (*([None] * 13), -1, 0)  # look(NULL, BLUE, false)
    assert frame["at"].is_null().to_list() == [False, True]


def test_texts(values):
    assert rows(values, "say")["text"].to_list() == ["hello wörld", "not \ufffd text", None, ""]
    short = rows(values, "say_short")
    assert short["text"].to_list() == ["hello", "not \ufffd", None, ""]
    assert short["text_1"].to_list()[:3] == [ord("e"), ord("o"), None]


def test_what_functions_return(values):
    sums = [sum(WIDTHS[0]) - 2**64, 36]
    assert rows(values, "widths_returned")["retval"].to_list() == sums
    assert rows(values, "bare_returned")["retval"].to_list() == sums
    assert rows(values, "look_returned")["retval"].to_list() == [-3 + 5 + 1, -1]
    assert rows(values, "look_both").select("flag", "retval").rows() == [(200, 3), (None, -1)]
    texts = ["hello wörld", "not \ufffd text", None, ""]
    assert rows(values, "say_returned")["retval"].to_list() == texts


def test_filters_on_signs_texts_and_returns(values):
    for number, (what, (field, wanted)) in enumerate(KEPT.items()):
        assert rows(values, f"kept_{number}")[field].to_list() == wanted, what


def test_groups_of_negative_numbers_and_of_what_cannot_be_read(values):
    assert last(values, "widths_groups").rows() == [(2, -1, 1, 0, 0.0)]
    frame = last(values, "look_groups").sort("yes")
    assert frame.rows() == [(0, 1, 1, 0, None), (1, 1, 0, -300, -300)]


def test_what_cannot_be_read_says_so(values, program):
    with pytest.raises(ParameterError, match="x cannot be read") as caught:
        planned_on(program, "uprobe", "real", fields="x")
    assert "floating-point" in caught.value.why
    assert rows(values, "real")["n"].to_list() == [3]
    with pytest.raises(ParameterError) as caught:
        planned_on(program, "uretprobe", "nothing", fields="retval")
    assert "returns nothing" in caught.value.why
    with pytest.raises(ParameterError, match="no member nam") as caught:
        planned_on(program, "uprobe", "look", fields="o.in.nam")
    assert "name" in caught.value.advice


def test_recursion_has_each_call_with_its_own_return(program):
    calls = 40
    session = captured(
        f"uprobe:{program}:factorial", program, "recursion", calls, fields=["n", "retval"],
        latency=True,
    )  # fmt: skip
    frame = rows(session)
    depths = [i % 20 + 1 for i in range(calls)]
    wanted = Counter(n for depth in depths for n in range(1, depth + 1))
    assert Counter(frame["n"].to_list()) == wanted
    factorials = np.cumprod(np.arange(1, 21, dtype=np.int64))
    assert (frame["retval"].to_numpy() == factorials[frame["n"].to_numpy() - 1]).all()
    # The outer call takes longer than the inner ones, which begin after it.
    ordered = frame.sort("ts")
    begun = ordered["ts"].dt.timestamp("ns").to_numpy()
    ended = begun + ordered["latency"].dt.total_nanoseconds().to_numpy()
    inner = ordered["n"].to_numpy()[1:] == ordered["n"].to_numpy()[:-1] - 1
    assert (ended[1:][inner] <= ended[:-1][inner]).all()
    assert inner.sum() == sum(depth - 1 for depth in depths)


FILTERS = {
    "i >= 290": lambda i, _: i >= 290,
    "i < 5 and thread != 2": lambda i, thread: (i < 5) & (thread != 2),
    "i & 3 == 1": lambda i, _: i & 3 == 1,
    "i & 64": lambda i, _: i & 64 != 0,
    "thread > 2 and i <= 10": lambda i, thread: (thread > 2) & (i <= 10),
    "i > -1": lambda i, _: i > -1,
    "comm == 'probed' and i == 7": lambda i, _: i == 7,
    "comm != 'probed'": lambda i, _: i < 0,
}
CALLS = 300


@pytest.fixture(scope="module")
def threads(program):
    """Four threads that call the same function, looked at by many probes."""
    point = f"uprobe:{program}:work"
    figures = ["count", "sum(i)", "avg(i)", "min(i)", "max(i)", "hist(i)", "max(retval)"]
    probes = {
        "work": point,
        "pairs": {"probe": point, "fields": ["i", "retval"]},
        "groups": {"probe": point, "aggregate": figures, "by": ["thread", "comm"]},
        "full": {"probe": point, "by": "i", "max_groups": 64},
    }
    for number, text in enumerate(FILTERS):
        probes[f"kept_{number}"] = {"probe": point, "filter": text}
    return wb.probe(probes, command=[str(program), "threads", str(CALLS)], ring_bytes=1 << 18)


def test_threads(threads):
    frame = rows(threads, "work")
    assert frame.height == 4 * CALLS
    for number in range(4):
        mine = frame.filter(pl.col("thread") == number).sort("ts")
        assert mine["i"].to_list() == list(range(CALLS))
        assert mine["tid"].n_unique() == 1
    assert frame["tid"].n_unique() == 4
    assert frame["pid"].n_unique() == 1
    pairs = rows(threads, "pairs")
    assert pairs.height == 4 * CALLS
    assert (pairs["retval"] == 2 * pairs["i"]).all()


def test_filters_keep_what_numpy_keeps(threads):
    whole = rows(threads, "work")
    i, thread = whole["i"].to_numpy(), whole["thread"].to_numpy()
    for number, (text, keep) in enumerate(FILTERS.items()):
        kept = keep(i, thread)
        wanted = Counter(zip(thread[kept].tolist(), i[kept].tolist(), strict=True))
        frame = rows(threads, f"kept_{number}")
        assert Counter(frame.select("thread", "i").rows()) == wanted, text


def test_groups_are_what_numpy_makes_of_events(threads):
    frame = last(threads, "groups").sort("thread")
    i = np.arange(CALLS)
    assert frame["thread"].to_list() == [0, 1, 2, 3]
    assert frame["comm"].cast(pl.String).unique().to_list() == ["probed"]
    for name, value in (
        *(("count", CALLS), ("sum_i", i.sum()), ("min_i", 0), ("max_i", CALLS - 1)),
        *(("avg_i", i.mean()), ("max_retval", 2 * (CALLS - 1))),
    ):
        assert frame[name].to_list() == [value] * 4, name
    slots = np.bincount(np.log2(np.maximum(i, 1)).astype(int), minlength=64)
    assert all(np.array_equal(row, slots) for row in frame["hist_i"].to_numpy())
    mine = threads.losses.filter(kind="groups")
    assert mine["produced"].sum() == mine["delivered"].sum() == 4 * CALLS


def test_more_groups_than_there_is_room_for_are_counted_as_lost(threads):
    mine = threads.losses.filter(kind="full")
    kept = last(threads, "full")
    assert mine["produced"].sum() == 4 * CALLS
    assert 0 < kept.height < CALLS
    assert mine["delivered"].sum() == kept["count"].sum()
    assert mine["dropped"].sum() == 4 * CALLS - kept["count"].sum() > 0


def test_events_that_a_full_buffer_loses_are_counted(program):
    session = captured(
        f"uprobe:{program}:work", program, "threads", 4000, ring_bytes=4096, fields=["i"]
    )
    mine = session.losses.filter(kind="work")
    assert mine["produced"].sum() == 16000
    assert mine["delivered"].sum() == session.events.num_rows
    assert mine["produced"].sum() == mine["delivered"].sum() + mine["dropped"].sum()


def test_latency_is_not_less_than_the_program_slept(program):
    frame = rows(captured(f"uprobe:{program}:doze", program, "doze", 5, latency=True))
    slept = frame["us"].to_numpy() * 1000
    assert slept.tolist() == [1_000_000 * n for n in range(1, 6)]
    assert (frame["latency"].dt.total_nanoseconds().to_numpy() >= slept).all()
    assert frame.schema["latency"] == pl.Duration("ns")
    session = captured(
        f"uprobe:{program}:doze", program, "doze", 5,
        aggregate=["avg(latency)", "min(latency)", "hist(latency)"],
    )  # fmt: skip
    (row,) = last(session).iter_rows(named=True)
    assert row["avg_latency"].total_seconds() >= 0.003
    assert row["min_latency"].total_seconds() >= 0.001
    assert sum(row["hist_latency"]) == 5
    assert sum(row["hist_latency"][:19]) == 0  # 2^19 ns is less than a millisecond
