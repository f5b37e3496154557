"""Cells against strace, against a program's own counts; bad ones leave nothing behind."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import threading
import time

import pytest
from compile_bpf import bpf_descriptors

import workbench as wb
from workbench.errors import AttachError, LoadError, ParameterError, TargetError, WorkbenchError
from workbench.probe.bcc import finder
from workbench.syscalls_table import number_of

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.usefixtures("nothing_left"),
    pytest.mark.skipif(
        finder.distribution_folder() is None, reason="python3-bpfcc is not installed"
    ),
]
COUNT = 2000
DD = ["dd", "if=/dev/zero", "of=/dev/null", "bs=64", f"count={COUNT}", "status=none"]

BCC = """
#include <linux/sched.h>
struct event { u64 ts; u32 pid, nr; char comm[TASK_COMM_LEN]; };
struct key { u32 nr; char comm[TASK_COMM_LEN]; };
BPF_PERF_OUTPUT(events);
BPF_RINGBUF_OUTPUT(same, 1024);
BPF_HASH(calls, struct key, u64);
BPF_PERCPU_ARRAY(total, u64, 1);
TRACEPOINT_PROBE(raw_syscalls, sys_enter)
{
    if (bpf_get_current_pid_tgid() >> 32 != WB_PID)
        return 0;
    struct event e = {.ts = bpf_ktime_get_ns(), .pid = WB_PID, .nr = args->id};
    struct key key = {.nr = args->id};
    bpf_get_current_comm(&e.comm, sizeof(e.comm));
    __builtin_memcpy(key.comm, e.comm, sizeof(key.comm));
    calls.increment(key);
    total.increment(0);
    events.perf_submit(args, &e, sizeof(e));
    same.ringbuf_output(&e, sizeof(e), 0);
    return 0;
}
"""
CORE = """
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
struct event { u64 ts; u32 pid, nr; char comm[16]; };
struct call { u32 nr; char comm[16]; };
struct {
    __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
    __uint(key_size, 4);
    __uint(value_size, 4);
} events SEC(".maps");
struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 1 << 22);
} same SEC(".maps");
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 1024);
    __type(key, struct call);
    __type(value, u64);
} calls SEC(".maps");
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, u32);
    __type(value, u64);
} total SEC(".maps");
SEC("tp_btf/sys_enter")
int BPF_PROG(enter, struct pt_regs *regs, long nr)
{
    u64 one = 1, *n;
    u32 zero = 0;
    struct call key = {.nr = nr};
    struct event *e;

    if (bpf_get_current_pid_tgid() >> 32 != WB_PID)
        return 0;
    bpf_get_current_comm(key.comm, sizeof(key.comm));
    n = bpf_map_lookup_elem(&calls, &key);
    if (n)
        (*n)++;
    else
        bpf_map_update_elem(&calls, &key, &one, BPF_ANY);
    n = bpf_map_lookup_elem(&total, &zero);
    if (n)
        (*n)++;
    e = bpf_ringbuf_reserve(&same, sizeof(*e), 0);
    if (!e)
        return 0;
    e->ts = bpf_ktime_get_ns();
    e->pid = WB_PID;
    e->nr = nr;
    bpf_get_current_comm(e->comm, sizeof(e->comm));
    bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, e, sizeof(struct event));
    bpf_ringbuf_submit(e, 0);
    return 0;
}
"""


def strace_counts(command):
    """How often a command makes each system call, as strace counts them: by number."""
    done = subprocess.run(
        ["strace", "-c", "-o", "/dev/stdout", *command], check=True, capture_output=True, text=True
    )
    table = number_of(platform.machine())
    counts = {}
    for line in done.stdout.splitlines():
        words = line.split()
        if len(words) >= 5 and words[0].replace(".", "").isdigit() and words[-1] in table:
            counts[table[words[-1]]] = int(words[3])
    return counts


@pytest.mark.parametrize("core", [False, True], ids=["bcc", "core"])
def test_known_system_calls(core):
    import polars as pl

    cell = wb.bpf(CORE if core else BCC, core=core, command=DD)
    assert (cell.state, cell.exit_code) == ("ended", 0)
    assert bpf_descriptors() == []

    losses = cell.losses.rows(named=True)
    assert [row["buffer"] for row in losses] == ["events", "same"]
    for row in losses:  # nothing may be lost of so few, and nothing be there twice
        assert row["produced"] == row["delivered"] == len(cell[row["buffer"]])
        assert row["full"] == row["forgotten"] == row["discarded"] == 0

    # The held command is a shell until its execve; strace starts there.
    events = cell["events"]
    assert set(events["pid"]) == {events["pid"][0]}
    both = ["ts", "nr", "comm"]
    if core:
        assert events.select(both).sort("ts").equals(cell["same"].select(both).sort("ts"))
    mine = dict(events.filter(pl.col("comm") == "dd").group_by("nr").len().iter_rows())
    wanted = strace_counts(DD)
    wanted[number_of(platform.machine())["execve"]] = mine.get(
        number_of(platform.machine())["execve"], 0
    )  # still called sh
    assert mine.get(number_of(platform.machine())["exit_group"]) == 1
    never_ends = {
        number_of(platform.machine())["exit_group"]
    }  # strace does not count what does not return
    assert {n: c for n, c in mine.items() if n not in never_ends} == {
        n: c for n, c in wanted.items() if c and n not in never_ends
    }
    assert mine[number_of(platform.machine())["write"]] == COUNT

    calls = cell["calls"]
    assert calls.columns == ["nr", "comm", "value"]
    assert calls["value"].sum() == len(events)
    assert cell["total"]["value"].sum() == len(events)
    assert dict(calls.filter(pl.col("comm") == "dd").select("nr", "value").iter_rows()) == mine
    assert cell["total"].columns == ["key", "cpu", "value"]
    with pytest.raises(ParameterError, match="'nothing'") as caught:
        cell["nothing"]
    assert "events, same" in caught.value.why
    assert f"<b>events</b> ({len(events):,} rows)" in cell._repr_html_()
    assert f"calls {len(calls):,}" in repr(cell)


MAPS = """
BPF_HASH(wanted, u32, u64);
BPF_HASH(seen, u32, u64);
int sample(struct bpf_perf_event_data *ctx)
{
    u32 key = bpf_get_current_pid_tgid() >> 32;
    if (wanted.lookup(&key))
        seen.increment(key);
    return 0;
}
"""


def test_maps_are_read_and_written_while_it_runs():
    burn = "import time\nend = time.process_time() + 60\nwhile time.process_time() < end: pass"
    with subprocess.Popen([sys.executable, "-c", burn]) as process:
        try:
            with wb.bpf(MAPS, attach={"sample": "perf:cpu-clock:199"}) as cell:
                cell.tables["wanted"][process.pid] = 1
                deadline = time.monotonic() + 60
                while not cell.tables["seen"].get(process.pid) and time.monotonic() < deadline:
                    time.sleep(0.02)
        finally:
            process.kill()
    assert cell["seen"]["key"].to_list() == [process.pid]
    assert cell["wanted"].rows() == [(process.pid, 1)]
    assert cell.tables == {}
    with pytest.raises(ParameterError, match="ended"):
        cell.start()
    cell.stop()


@pytest.mark.parametrize("core", [False, True], ids=["bcc", "core"])
def test_events_are_followed_while_the_program_runs(core):
    """A loop sees what the tables have in the end, the last events with them."""
    import polars as pl

    with subprocess.Popen(
        ["sh", "-c", f"read go; exec {' '.join(DD)}"], stdin=subprocess.PIPE
    ) as dd:
        cell = wb.bpf(CORE if core else BCC, core=core, pid=dd.pid)
        with pytest.raises(ParameterError, match="no buffer 'same'") as caught:
            cell.live("same")
        assert "not started" in caught.value.why
        cell.start()

        def end():
            dd.communicate(b"go\n")
            cell.stop()

        ending = threading.Thread(target=end)
        ending.start()
        batches = list(cell.live("same", interval=0.01, format="polars"))
        ending.join()
    found = pl.concat(batches)
    assert found.equals(cell["same"])
    write = number_of(platform.machine())["write"]
    assert found.filter(pl.col("nr") == write, pl.col("comm") == "dd").height == COUNT
    with pytest.raises(ParameterError, match="no buffer 'calls'"):
        cell.live("calls")


SMALL = """
BPF_RINGBUF_OUTPUT(few, 1);
TRACEPOINT_PROBE(raw_syscalls, sys_enter)
{
    if (bpf_get_current_pid_tgid() >> 32 != WB_PID)
        return 0;
    char text[400] = {};
    few.ringbuf_output(&text, sizeof(text), 0);
    u64 *room = few.ringbuf_reserve(sizeof(u64));
    if (room)
        few.ringbuf_discard(room, 0);
    return 0;
}
"""


def test_losses_are_exact():
    """A ring of one page, drained every 10 ms, cannot hold what dd sends."""
    cell = wb.bpf(SMALL, command=DD)
    (row,) = cell.losses.rows(named=True)
    assert row["produced"] >= 2 * 2 * COUNT
    assert row["full"] > 0
    assert row["discarded"] > 0
    assert row["produced"] == sum(row[n] for n in ("delivered", "full", "forgotten", "discarded"))
    assert len(cell["few"]) == row["delivered"]
    assert "Events were lost" in cell._repr_html_()


BAD = {
    "syntax": ("int kprobe__x(void *ctx) {\n  retrun 0;\n}", {}, LoadError, "line 2: error"),
    "helper": ("int f(void *c) {\n\n return bpf_no(1); }", {}, LoadError, "line 3: error"),
    "verifier": (
        "RAW_TRACEPOINT_PROBE(sys_enter) {\n  return *(int *)8;\n}",
        {},
        LoadError,
        "invalid mem access",
    ),
    "symbol": (
        "int f(void *c) { return 0; }",
        {"attach": {"f": "uprobe:c:no_such_symbol"}},
        AttachError,
        "no function no_such_symbol",
    ),
    "tracepoint": ("TRACEPOINT_PROBE(sched, nothing) { return 0; }", {}, WorkbenchError, "nothing"),
    "command": ("int x;", {"command": ["/no/such/program"]}, TargetError, "/no/such/program"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_cells_leave_nothing(name):
    text, options, error, said = BAD[name]
    with pytest.raises(error) as caught:
        wb.bpf(text, **{"duration": 0.1} | options)
    assert said in str(caught.value)
    assert bpf_descriptors() == []
    assert not [t for t in threading.enumerate() if t.name == "workbench-cell"]


BAD_CORE = {
    "syntax": (("u64 one = 1, *n;", "u64 one = ;"), LoadError, "line 31: error: expected expr"),
    "helper": (("bpf_ktime_get_ns", "bpf_no"), LoadError, "error: implicit declaration"),
    "verifier": (("if (!e)\n        return 0;\n", ""), LoadError, "invalid mem access"),
    "tracepoint": (("tp_btf/sys_enter", "tp_btf/nothing"), LoadError, "nothing"),
    "rate": (("tp_btf/sys_enter", "perf_event"), AttachError, "no event and rate"),
    "place": (("", ""), AttachError, "no program g"),
}


@pytest.mark.parametrize("name", BAD_CORE)
def test_bad_core_cells_leave_nothing(name):
    (old, new), error, said = BAD_CORE[name]
    attach = {"g": "perf:cpu-clock:9"} if name == "place" else None
    with pytest.raises(error) as caught:
        wb.bpf(CORE.replace(old, new), core=True, duration=0.1, attach=attach, pid=1)
    assert said in str(caught.value)
    assert bpf_descriptors() == []


HELLO = """
static __attribute__((noinline)) int hidden(int x) { __asm__ volatile(""); return x + 1; }
int main(void) { return hidden(1) - 2; }
"""
COUNTS = "BPF_ARRAY(calls, u64, 1);\nint f(void *ctx) { calls.increment(0); return 0; }\n"


@pytest.fixture(scope="module")
def hello(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hello")
    (folder / "hello.c").write_text(HELLO)
    command = ["gcc", "-O1", "-fno-inline", "-o", folder / "hello", folder / "hello.c"]
    subprocess.run(command, check=True)
    return folder / "hello"


def test_functions_of_a_stripped_program(hello, tmp_path):
    """Its name is gone, and its place works still; `nm` tells it of what is not stripped."""
    stripped = tmp_path / "stripped"
    subprocess.run(["strip", "-o", stripped, hello], check=True)
    with pytest.raises(AttachError, match="no function hidden") as caught:
        wb.bpf(COUNTS, attach={"f": f"uprobe:{stripped}:hidden"}, command=[str(stripped)])
    assert "stripped" in caught.value.advice
    assert bpf_descriptors() == []
    names = subprocess.run(["nm", hello], check=True, capture_output=True, text=True).stdout
    (address,) = (line.split()[0] for line in names.splitlines() if line.endswith(" t hidden"))
    place = f"uprobe:{stripped}:0x{address.lstrip('0')}"
    cell = wb.bpf(COUNTS, attach={"f": place}, command=[str(stripped)])
    assert cell["calls"]["value"].to_list() == [1]


def test_functions_of_a_deleted_program(hello, tmp_path):
    gone = tmp_path / "gone"
    shutil.copy(shutil.which("sleep"), gone)
    with subprocess.Popen([gone, "60"]) as process:
        gone.unlink()
        try:
            for path in (gone, f"{gone} (deleted)"):
                with pytest.raises(AttachError, match="There is no file") as caught:
                    wb.bpf(COUNTS, attach={"f": f"uprobe:{path}:main"}, duration=0.1)
                assert "/proc/PID/exe" in caught.value.advice
            place = f"uprobe:/proc/{process.pid}/exe:0x4000"
            with wb.bpf(COUNTS, attach={"f": place}, pid=process.pid) as cell:
                assert cell.state == "running"
        finally:
            process.kill()
    assert bpf_descriptors() == []


UNPRIVILEGED = """
import sys
import workbench as wb
bcc, core, what = sys.argv[1:]
calls = {
    "bcc": lambda: wb.bpf(bcc, duration=0.1),
    "tables": lambda: wb.bpf("BPF_HASH(h, u32, u32);" + bcc, duration=0.1),
    "core": lambda: wb.bpf(core, core=True, duration=0.1),
    "capture": lambda: wb.capture("syscalls", command=["true"]),
    "probe": lambda: wb.probe("uprobe:c:malloc", command=["true"]),
}
try:
    calls[what]()
except wb.WorkbenchError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize("what", ["bcc", "tables", "core", "capture", "probe"])
@pytest.mark.skipif(not shutil.which("setpriv"), reason="setpriv gives capabilities up")
def test_without_privilege(what):
    """Nothing runs, and the error says which capabilities it takes."""
    bcc = "RAW_TRACEPOINT_PROBE(sys_enter) { return 0; }"
    core = '#include "vmlinux.h"\n#include <bpf/bpf_helpers.h>\n'
    core += 'SEC("raw_tp/sys_enter") int f(void *ctx) { return 0; }\n'
    code = [sys.executable, "-c", UNPRIVILEGED, bcc, core, what]
    done = subprocess.run(
        ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *code],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.startswith("NotPermittedError ")
    assert "CAP_BPF and CAP_PERFMON" in done.stdout


def test_strace_is_there():
    assert shutil.which("strace")
