"""The user's own probes on a program whose calls, arguments and results are known."""

import re
import shutil
import subprocess
import time
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from programs import compiled, running

import workbench as wb
from workbench.errors import AttachError, ParameterError, WorkbenchError
from workbench.own_probes import checked
from workbench.recorder.probe_source import planned

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("nothing_left")]

TESTS = Path(__file__).parent.parent
OPTIONS = ("-O1", "-g", "-pthread", "-include", str(TESTS / "sdt.h"))


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    text = (TESTS / "probed.c").read_text()
    return compiled(tmp_path_factory.mktemp("probed"), "probed", text, "gcc", *OPTIONS)


@pytest.fixture(scope="module")
def bare(program, tmp_path_factory):
    """The same without debug information: names, and no types."""
    path = tmp_path_factory.mktemp("bare") / "probed"
    subprocess.run(["strip", "-g", "-o", path, program], check=True)
    return path


def captured(point, program, *words, **options):
    return wb.probe(point, command=[str(program), *map(str, words)], **options)


def planned_on(program, kind, function, **options):
    """Plan a probe without loading it: what the recorder does first."""
    return planned(checked("x", {"probe": f"{kind}:{program}:{function}", **options}))


def rows(session, name=""):
    """The table of the only probe, which lost nothing."""
    frame = session[name or session.kinds[0]].polars()
    mine = session.losses.filter(pl.col("kind") == (name or session.kinds[0]))
    assert mine["dropped"].sum() == 0
    assert session.manifest.problems == ()
    if "count" not in frame.columns:
        assert mine["produced"].sum() == mine["delivered"].sum() == frame.height
    return frame


def last(session, name=""):
    """The groups at the end."""
    frame = session[name or session.kinds[0]].polars()
    return frame.filter(pl.col("ts") == pl.col("ts").max()).drop("ts")


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


def test_static_probes_with_arguments_in_different_places(program):
    frame = rows(captured(f"usdt:{program}:probed:work", program, "static", 50)).sort("ts")
    first, second = frame[::2], frame[1::2]
    assert first["arg0"].to_list() == [1] * 50
    assert first["arg1"].to_list() == [-i for i in range(50)]
    assert second["arg0"].to_list() == [-5_000_000_000] * 50
    assert second["arg1"].to_list() == list(range(50))
    session = captured(f"usdt:{program}:work", program, "static", 50, filter="arg0 < 0", by="arg0")
    assert last(session).rows() == [(-5_000_000_000, 50)]


def test_static_probes_of_python():
    python = shutil.which("python3", path="/usr/bin:/bin")
    if not python or b"gc__start" not in Path(python).resolve().read_bytes():
        pytest.skip("the system's python3 has no static probes")
    code = "import gc; gc.disable(); [gc.collect(n) for n in (0, 1, 2, 0)]; import os; os._exit(0)"
    session = wb.probe(
        {"begin": f"usdt:{python}:python:gc__start", "end": f"usdt:{python}:gc__done"},
        command=[python, "-S", "-I", "-c", "import audited" if False else code],
    )
    begin, end = rows(session, "begin"), rows(session, "end")
    assert begin["arg0"].to_list()[-4:] == [0, 1, 2, 0]
    assert begin.height == end.height


def test_malloc_of_known_sizes(program):
    session = captured(
        "uprobe:libc:malloc", program, "memory", 300, fields={"size": "u64(arg0)"},
        filter="arg0 >= 10000 and arg0 < 10300",
    )  # fmt: skip
    assert rows(session)["size"].to_list() == [10000 + i for i in range(300)]


def traced(tmp_path, *command):
    """Paths that strace sees the command open."""
    log = tmp_path / "strace"
    subprocess.run(["strace", "-f", "-e", "trace=openat", "-o", log, *command], check=True)
    return re.findall(r'openat\([^,]+, "([^"]*)"', log.read_text())


def test_fields_of_tracepoints_are_those_of_strace(tmp_path):
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    command = ["cat", "/etc/hostname", "/etc/hosts"]
    wanted = traced(tmp_path, *command)
    session = wb.probe(
        ["tracepoint:syscalls:sys_enter_openat", "tracepoint:syscalls:sys_exit_openat"],
        command=command,
    )
    opened = rows(session, "sys_enter_openat")
    assert opened["filename"].to_list() == wanted
    assert rows(session, "sys_exit_openat").height == len(wanted)
    assert set(opened["flags"].to_list()) <= {0, 0o2000000}  # O_RDONLY, O_CLOEXEC


def test_texts_in_the_records_of_tracepoints_and_of_raw_ones():
    session = wb.probe(
        {
            "point": {"probe": "tracepoint:sched:sched_process_exec", "fields": "filename"},
            "raw": {
                "probe": "rawtp:sched_process_exec",
                "fields": {"path": "str(bprm.filename)", "was": "old_pid", "own": "task.tgid"},
            },
        },
        command=["sh", "-c", "/bin/true; /bin/echo >/dev/null; exit 0"],
    )
    point, raw = rows(session, "point").sort("ts"), rows(session, "raw").sort("ts")
    assert point["filename"].to_list()[1:] == ["/bin/true", "/bin/echo"]
    assert raw["path"].to_list() == point["filename"].to_list()
    assert (raw["own"] == raw["pid"]).all()
    assert raw["was"].to_list() == raw["pid"].to_list()


def test_clocks_sample_what_runs(program):
    session = wb.probe(
        "perf:cpu-clock:499",
        command=["sh", "-c", "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done"],
    )
    frame = rows(session, "cpu_clock")
    assert frame.height > 10
    assert frame["comm"].cast(pl.String).unique().to_list() == ["sh"]


def test_stacks_lead_to_the_function(program):
    session = captured(f"uprobe:{program}:factorial", program, "recursion", 20, stacks=True)
    frame = rows(session)
    tables = {name: session[name].polars() for name in ("stacks", "frames")}
    names = dict(tables["frames"].select("frame_id", "function").iter_rows())
    stacks = {
        number: [names[frame] for frame in frames]
        for number, frames in tables["stacks"].select("stack_id", "frame_ids").iter_rows()
    }
    assert set(frame["stack_status"].cast(pl.String)) == {"complete"}
    for number, n, depth in frame.select("stack_id", "n", pl.lit(0)).iter_rows():
        stack = stacks[number]
        assert stack[0] == "factorial"
        depth = stack.count("factorial")
        assert "main" in stack
        assert depth >= 1
        assert n >= 1
    deepest = frame.filter(pl.col("n") == 20)["stack_id"][0]
    assert stacks[deepest].count("factorial") == 1
    folded = session.flamegraph("factorial")
    assert folded is not None


def test_attached_and_detached_while_the_program_runs(program):
    with running(program, "rounds", "100") as process:
        process.go_on()  # the hundred calls of the first round are over
        capture = wb.probe(f"uprobe:{program}:work", pid=process.pid)
        with capture:
            process.go_on()
            process.go_on()
        process.go_on()
        frame = rows(capture.session)
        process.go_on()
    # A round's calls are made before the next "ready".
    assert frame.height == 200
    assert frame["i"].to_list() == [*range(100)] * 2
    assert frame["pid"].unique().to_list() == [process.pid]


def test_other_processes_are_not_seen(program):
    with running(program, "rounds", "50") as other, running(program, "rounds", "50") as mine:
        for process in (other, mine):
            process.go_on()
        with wb.probe(f"uprobe:{program}:work", pid=mine.pid, follow=False) as session:
            for process in (other, mine, other):
                process.go_on()
        assert rows(session)["pid"].to_list() == [mine.pid] * 50
        with wb.probe(f"uprobe:{program}:work", comm="no-such") as session:
            other.go_on()
        assert session.events.num_rows == 0


def test_probes_beside_other_kinds(program):
    session = wb.capture(
        {"syscalls": {}, "work": {"probe": f"uprobe:{program}:work", "fields": ["i"]}},
        command=[str(program), "threads", "100"],
    )
    assert session["work"].num_rows == 400
    assert session["syscalls"].num_rows > 10
    assert session.sql("select count(*) as n from work where i < 10")["n"].item() == 40


def test_a_session_says_what_the_columns_are(program, tmp_path):
    session = captured(
        f"uprobe:{program}:look", program, "values", fields=["o.in.b", "comm", "retval"],
        latency=True, output=tmp_path / "s.wb",
    )  # fmt: skip
    schema = wb.open(tmp_path / "s.wb")["look"].schema
    about = {
        field.name: {k.decode(): v.decode() for k, v in field.metadata.items()} for field in schema
    }
    assert about["latency"]["unit"] == "ns"
    assert about["b"]["meaning"].startswith("o.in.b (long")
    assert "DWARF" in about["b"]["meaning"]
    assert all(about[name]["meaning"] and about[name]["unit"] for name in schema.names)
    given = session.manifest.kinds["look"]
    assert given["probe"] == f"uprobe:{program}:look"
    assert given["latency"] is True


BAD = [
    ("uprobe:{program}:wrok", {}, AttachError, "work"),
    ("uprobe:{program}.gone:work", {}, AttachError, "no file"),
    ("uprobe:/etc/passwd:work", {}, AttachError, "ELF"),
    ("usdt:{program}:probed:wrk", {}, AttachError, "probed:work"),
    ("usdt:{program}:work", {"latency": True}, ParameterError, "only functions return"),
    ("tracepoint:sched:sched_swich", {}, AttachError, "sched:sched_switch"),
    ("rawtp:sched_swich", {}, AttachError, "sched_switch"),
    ("uprobe:{program}:work", {"fields": "nope"}, ParameterError, "thread"),
    ("uprobe:{program}:work", {"fields": "i.x"}, ParameterError, "int"),
    ("uprobe:{program}:look", {"fields": "o.in[0]"}, ParameterError, "Take a member"),
    ("uprobe:{program}:work", {"filter": "i == 'x'"}, ParameterError, "two kinds"),
    ("uprobe:{program}:work", {"filter": "i == 1 or i == 2"}, ParameterError, "`or`"),
    ("uprobe:{program}:work", {"filter": "i > 2**40"}, ParameterError, "no constant"),
    ("uprobe:{program}:work", {"filter": "i > 99999999999"}, ParameterError, "4 bytes"),
    ("uprobe:{program}:work", {"aggregate": "sum(comm)"}, ParameterError, "text"),
    ("uprobe:{program}:work", {"aggregate": "median(i)"}, ParameterError, "no aggregate"),
    ("uprobe:{program}:work+0x3", {"fields": "retval"}, ParameterError, "inside the function"),
    ("perf:cpu-clock:0", {}, ParameterError, "Hz"),
    ("perf:cpu-clok", {}, ParameterError, "cpu-clock"),
    ("uprob:x:y", {}, ParameterError, "uprobe:FILE"),
]


@pytest.mark.parametrize(("point", "options", "error", "words"), BAD)
def test_bad_probes_are_clear_errors(program, point, options, error, words):
    with pytest.raises(error) as caught:
        planned(checked("x", {"probe": point.format(program=program), **options}))
    assert words in str(caught.value)


def test_nothing_is_attached_after_a_bad_probe_beside_good_ones(program):
    good = f"uprobe:{program}:work"
    for bad in (f"uprobe:{program}:wrok", {"probe": good, "fields": "nope"}):
        with pytest.raises(WorkbenchError):
            wb.probe({"good": good, "bad": bad}, command=[str(program), "values"])


@pytest.mark.parametrize("kind", ["kprobe", "fentry"])
def test_functions_of_the_kernel_or_what_works_instead(program, kind):
    try:
        session = captured(f"{kind}:vfs_read", program, "rounds", 1)
    except AttachError as error:
        told = str(error)
    else:
        assert rows(session).height > 0
        return
    assert "Why: this kernel" in told
    assert "sys_enter_read" in told


def test_a_recorder_that_is_killed_leaves_nothing(program):
    with running(program, "rounds", "100") as process:
        capture = wb.probe(f"uprobe:{program}:work", pid=process.pid).start()
        process.go_on()
        Path(f"/proc/{capture.recorder_pid}/stat").read_text()
        subprocess.run(["kill", "-9", str(capture.recorder_pid)], check=True)
        with pytest.warns(Warning, match="recorder died"):
            capture.wait()
        process.go_on()
        time.sleep(0.1)
        process.go_on()
