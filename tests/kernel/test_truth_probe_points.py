"""Own probes of each kind, attached to what runs and to what is started; and bad ones."""

import re
import shutil
import subprocess
import time
from pathlib import Path

import polars as pl
import pytest
from probed import OPTIONS, SOURCE, captured, last, missed, rows
from programs import compiled, running

import workbench as wb
from workbench.errors import AttachError, ParameterError, WorkbenchError
from workbench.own_probes import checked
from workbench.recorder.probe_source import planned

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.usefixtures("nothing_left"),
    pytest.mark.filterwarnings("ignore:.*left out .* runs"),
]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return compiled(tmp_path_factory.mktemp("probed"), "probed", SOURCE, "gcc", *OPTIONS)


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
    seen, left = iter(wanted), missed(session)
    # Null where the program itself has not touched the page of the path yet: constants of ld.so.
    paths = opened["filename"].drop_nulls().to_list()
    assert all(path in seen for path in paths)  # in that order
    assert left or paths[-2:] == command[1:]
    assert len(wanted) - left <= opened.height <= len(wanted)
    returned = rows(session, "sys_exit_openat").height
    assert len(wanted) - left <= returned <= len(wanted)
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
    assert raw["path"].to_list()[1:] == ["/bin/true", "/bin/echo"]
    assert 3 - missed(session) <= point.height <= 3
    assert set(point["filename"].to_list()) <= set(raw["path"].to_list())
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
        process.rest()  # the hundred calls of the first round are over
        capture = wb.probe(f"uprobe:{program}:work", pid=process.pid)
        with capture:
            process.go_on()
            process.go_on()
            process.rest()
        process.go_on()
        frame = rows(capture.session)
        process.go_on()
    assert frame.height == 200
    assert frame["i"].to_list() == [*range(100)] * 2
    assert frame["pid"].unique().to_list() == [process.pid]


def test_other_processes_are_not_seen(program):
    with running(program, "rounds", "50") as other, running(program, "rounds", "50") as mine:
        for process in (other, mine):
            process.rest()
        with wb.probe(f"uprobe:{program}:work", pid=mine.pid, follow=False) as session:
            for process in (other, mine, other):
                process.go_on()
                process.rest()
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
