from __future__ import annotations

import io

import polars as pl
import pytest
import reading

from workbench.errors import ImportFormatError
from workbench.formats import formats, perf_script

TEXT = b"""\
# ========
# captured on    : Thu Nov 26 17:18:00 2026
# cmdline : /usr/bin/perf record python3 -c
import json
#
bash  3712/3712  [001] 24478.556987:    2004008 cpu-clock:ppp: 
\tffffffff821f432a __pi_memcpy+0xa ([kernel.kallsyms])
\tffffffffc0123456 ext4_read+0x1a8 ([ext4])
\tffffffff81000130 entry_SYSCALL_64_after_hwframe+0x76 ([kernel.kallsyms])
\t          1019b3 std::function<void (int)>::operator()(int) const+0x13 (/tmp/a (1)/lib.so (deleted))
\t           32f72 [unknown] ([unknown])

Web Content 2 1100  24478.600000001:    1000 cpu-clock:ppp: 
\t7f0000001000 inner (inlined)
\t7f0000001000 outer+0x9 (/usr/bin/web)
  /src/web dir/outer.c:42
\t7f0000002000 main+0x1 (/usr/bin/web)
  main.c:7

python3  42 [000] 24478.700000:   PERF_RECORD_LOST lost 5
python3  42 [000] 24478.800000:  1 cycles:u: 
\t7f0000003000 py::Job.run:/srv/a b/job.py (/tmp/perf-42.map)
\t7f0000003010 Lorg/x/Main; ::go+0x10 (/tmp/perf-42.map)

python3  42 [000] 24478.900000: sched:sched_switch: prev_comm=python3 prev_pid=42 ==> next_pid=0
\tffffffff81000200 __schedule+0x1 ([kernel.kallsyms])

"""  # noqa: W291, E501
ALONE = b"""\
         swapper     0 [000]  1.000000:          1 cycles:  ffffffff81000000 idle+0x1 ([kernel.kallsyms])
              dd  1234 [001]  1.500000:          1 cycles:      7f0000000001 dd_copy+0x2 (/usr/bin/dd)
"""  # noqa: E501


def test_samples_and_frames(tmp_path):
    assert reading.recognised_as(TEXT) == "perf-script"
    made = reading.session(TEXT, tmp_path / "a.wb")
    assert made.kinds == ("cpu", "cpu_2", "sched_sched_switch")
    functor = "std::function<void (int)>::operator()(int) const"
    assert reading.folded(made, "cpu") == {
        f"[unknown];{functor};entry_SYSCALL_64_after_hwframe;ext4_read;__pi_memcpy": 1,
        "main;outer;inner": 1,
    }
    assert reading.folded(made, "cpu_2") == {"Lorg/x/Main; ::go;Job.run".replace(";", ":", 1): 1}
    assert reading.folded(made, "sched_sched_switch") == {"__schedule": 1}
    rows = made["cpu"].polars()
    assert rows["comm"].cast(str).to_list() == ["bash", "Web Content 2"]
    assert rows["tid"].to_list() == [3712, 1100]
    assert rows["ts"].to_physical().to_list() == [24478_556987000, 24478_600000001]
    assert rows["period"].to_list() == [2004008, 1000]
    assert "pid" not in rows.columns  # not all samples tell it
    assert made.flamegraph(weight="period").tree.total == 2005008


def test_frames_say_what_they_are(tmp_path):
    made = reading.session(TEXT, tmp_path / "a.wb")
    columns = ("function", "module", "kind", "file", "line")
    rows = {row[0]: row[1:] for row in made["frames"].polars().select(columns).rows()}
    assert rows["__pi_memcpy"] == ("[kernel]", "kernel", None, None)
    assert rows["ext4_read"] == ("[ext4]", "kernel", None, None)
    functor = "std::function<void (int)>::operator()(int) const"
    assert rows[functor] == ("/tmp/a (1)/lib.so (deleted)", "native", None, None)
    assert rows["[unknown]"] == ("[unknown]", "unknown", None, None)
    assert rows["inner"] == ("/usr/bin/web", "inlined", None, None)
    assert rows["outer"] == ("/usr/bin/web", "native", "/src/web dir/outer.c", 42)
    assert rows["main"] == ("/usr/bin/web", "native", "main.c", 7)
    assert rows["Job.run"] == ("/tmp/perf-42.map", "python", "/srv/a b/job.py", None)
    assert rows["Lorg/x/Main; ::go"] == ("/tmp/perf-42.map", "jit", None, None)
    frame = made["frames"].polars().filter(function="main").row(0, named=True)
    assert frame["offset"] == 0x7F0000002000


def test_problems(tmp_path):
    made = reading.session(TEXT, tmp_path / "a.wb")
    assert made.manifest.problems == (
        "perf lost 5 samples",
        "1 lines were not understood, the first is line 4: 'import json'",
    )
    assert made.manifest.target["imported"]["time_known"] is False


def test_without_call_chains(tmp_path):
    assert reading.recognised_as(ALONE) == "perf-script"
    made = reading.session(ALONE, tmp_path / "a.wb")
    assert reading.folded(made, "cpu") == {"idle": 1, "dd_copy": 1}
    rows = made["cpu"].polars()
    assert rows["comm"].cast(str).to_list() == ["swapper", "dd"]
    assert rows.select("tid", "cpu").rows() == [(0, 0), (1234, 1)]


@pytest.mark.parametrize(
    ("text", "comm"),
    [
        (b"\n\t1165 work (/bin/a)\n\t272 main (/bin/a)\n\n\t1165 work (/bin/a)\n", [None, None]),
        (b"my job \n\t11650 work\n\t2720 main\n\nb \n\t11650 work\n", ["my job", "b"]),
        (b"a 7/8 \n\t11650 work\n\t2720 main\n\nb c 9/9 \n\t11650 work\n", ["a", "b c"]),
        (b"a 7 [001] 55 cycles:u: \n\t11650 work\n\t2720 main\n\nb 9 [0] 6 cycles:\n\t11650 work\n",
         ["a", "b"]),
    ],
    ids=["nothing", "comm", "ids", "event"],
)  # fmt: skip
def test_fields_may_be_missing(text, comm, tmp_path):
    made = reading.session(text, tmp_path / "a.wb", "perf-script")
    found = {}
    for kind in made.kinds:
        for stack, weight in reading.folded(made, kind).items():
            found[stack] = found.get(stack, 0) + weight
    assert found == {"main;work": 1, "work": 1}
    names = [n for k in made.kinds for n in made[k].polars()["comm"].cast(str).to_list()]
    assert names == [one or "" for one in comm]


def test_what_is_refused(tmp_path):
    for text in (
        b"",
        b"hello\n",
        b"# only\n",
        b"python3 42 [000] 1.000000: PERF_RECORD_LOST lost 5\n",
    ):
        with pytest.raises(ImportFormatError, match="no sample of perf script"):
            reading.session(text, tmp_path / "a.wb", "perf-script")


@pytest.mark.timeout(reading.PATIENCE_S)
def test_damaged_files():
    words = [
        b"\t7f00 f+0x1 (/a)\n",
        b"a 1 1.000000: x:\n",
        b"99999999999.999999:",
        b"(",
        b"  x:1\n",
    ]
    good, bad = reading.fuzz(
        reading.reader("perf-script"), reading.mutated([TEXT, ALONE], reading.CASES, words)
    )
    assert good
    assert bad >= 0


def test_stacks_are_shared(tmp_path):
    text = b"".join(
        b"a 7/7 [000] %d.000000: 1 cycles: \n\t1165 work+0x1 (/bin/a)\n\t272 main+0x2 (/bin/a)\n\n"
        % i
        for i in range(1, 2001)
    )
    made = reading.session(text, tmp_path / "a.wb")
    assert made["cpu"].num_rows == 2000
    assert made["stacks"].num_rows == 1
    assert made["cpu"].polars().select(pl.col("ts").is_sorted()).item()
    assert made.duration.total_seconds() == 1999


@pytest.mark.parametrize("head", [b" " * 65536, b"a" + b" " * 65535, b"1 " * 32768, b"1" * 65536])
def test_hostile_heads_are_told_at_once(head):
    for name in ("perf-script", "folded", "austin", "bpftrace", "speedscope", "perf-data"):
        assert formats()[name].recognise(head) < 0.5


def test_events_have_a_bound(monkeypatch):
    heads = (b"a 1 1.000000: 1 e%d: 7f00 f (/a)\n\n" % number for number in range(60))
    monkeypatch.setattr(perf_script, "_samples", lambda *_, **__: pytest.fail("they were read"))
    with pytest.raises(ImportFormatError, match="48 kinds"):
        perf_script.read(io.BytesIO(b"".join(heads)))


COUNTED = b"""\
w  22871/22871 34908.100000:    2531 page-faults: 
\tffffffff8175336a elf_load+0x28a ([kernel.kallsyms])

w  22871/22871 34908.200000:    9 page-faults: 
\t           20b74 _start+0x4 (/usr/lib/ld.so)

w  22871/22871 34908.300000: syscalls:sys_enter_read: fd: 0x00000003, count: 0x00000340
"""  # noqa: W291


def test_of_what_is_counted_a_sample_stands_for_many(tmp_path):
    """As in perf report, which weighs samples by their periods."""
    made = reading.session(COUNTED, tmp_path / "a.wb")
    assert made.kinds == ("page_faults", "syscalls_sys_enter_read")
    assert reading.self_and_total(made, "page_faults") == {
        "elf_load": (2531, 2531),
        "_start": (9, 9),
    }
    assert made["page_faults"].polars()["weight"].sum() == 2
    assert made.manifest.kinds["page_faults"]["event"] == "page-faults"


def test_what_a_tracepoint_says_is_kept(tmp_path):
    made = reading.session(COUNTED, tmp_path / "a.wb")
    rows = made["syscalls_sys_enter_read"].polars()
    assert rows["fields"].cast(str).to_list() == ["fd: 0x00000003, count: 0x00000340"]


def test_that_there_are_no_stacks_is_told(tmp_path):
    made = reading.session(b"w 7 1.000000: 1 cpu-clock: \n" * 3, tmp_path / "a.wb", "perf-script")
    assert "no sample has a stack" in made.manifest.problems[0]
    assert made["cpu"].num_rows == 3
