from __future__ import annotations

import io
import json
import shutil
import subprocess
from pathlib import Path

import polars as pl
import pytest
import reading

from workbench.errors import ImportFormatError
from workbench.formats import bpftrace

BURN = Path(__file__).parents[2] / "workbench" / "demo" / "slow-api"
# As bpftrace 0.17 and 0.23 write them.
TEXT = b"""\
Attaching 2 probes...
something that the script printed, also @[ this
@[
    vfs_read+12
    do_syscall_64+113
    entry_SYSCALL_64_after_hwframe+118
, 
    work+47
    __libc_start_call_main+122
, a job]: 2
@[
    work+38
    __libc_start_call_main+122
, , a job]: 3
@[
    work+38
    __libc_start_call_main+122
, 
    sys_x+1
    do_syscall_64+113
, other]: 5
@h: 
[2, 4)                13 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|

@l[tlong]: 65
@perf[
\t559159673180 work+71 (/tmp/a (x)/tlong)
\tffffffff821f432a __pi_memcpy+10 ([kernel.kallsyms])
\t7f4b1e84c24a 0x7f4b1e84c24a ([unknown])
, 12, 34]: 1
@raw[
\t55bbbf53f158
]: 4
"""  # noqa: W291
JSON = rb"""
{"type": "attached_probes", "data": {"probes": 2}}
{"type": "map", "data": {"@": {"\n    work+31\n    main+122\n,,a job": 1, "\n    main+1\n,,x": 4}}}
{"type": "hist", "data": {"@h": [{"min": 2, "max": 3, "count": 63}]}}
{"type": "map", "data": {"@p": {"6179,6180,\n    work+31\n    main+122\n": 7}}}
{"type": "map", "data": {"@n": 5}}
"""


def test_text(tmp_path):
    assert reading.recognised_as(TEXT) == "bpftrace"
    made = reading.session(TEXT, tmp_path / "a.wb")
    assert made.kinds == ("samples", "perf", "raw")
    user = "__libc_start_call_main;work"
    assert reading.folded(made, "samples") == {
        f"{user};entry_SYSCALL_64_after_hwframe;do_syscall_64;vfs_read": 2,
        user: 3,
        f"{user};do_syscall_64;sys_x": 5,
    }
    assert made["samples"].polars()["comm"].cast(str).to_list() == ["a job", "a job", "other"]
    rows = made["frames"].polars()
    frame = rows.filter(pl.col("offset") == 0x559159673180).row(0, named=True)
    assert (frame["function"], frame["module"]) == ("work", "/tmp/a (x)/tlong")
    assert rows.filter(function="__pi_memcpy").row(0, named=True)["kind"] == "kernel"
    assert reading.folded(made, "raw") == {"55bbbf53f158": 4}
    assert made["perf"].polars().select("key_1", "key_2").row(0) == (12, 34)


def test_json(tmp_path):
    assert reading.recognised_as(JSON) == "bpftrace"
    made = reading.session(JSON, tmp_path / "a.wb")
    assert reading.folded(made, "samples") == {"main;work": 1, "main": 4}
    assert made["samples"].polars()["comm"].cast(str).to_list() == ["a job", "x"]
    assert reading.folded(made, "p") == {"main;work": 7}
    assert made["p"].polars().select("key_1", "key_2").row(0) == (6179, 6180)


OTHERS = b"""\
@h[
    f+1
]:
[16, 32)               1 |@@@@|

@st[
    f+1
]: count 1, average 27881, total 27881
@n[
    f+1
]: 2
@n[
    f+1
]: 3
"""
OTHERS_JSON = rb"""
{"type": "hist", "data": {"@h": {"\n    f+1\n": [{"min": 256, "max": 511, "count": 1}]}}}
{"type": "stats", "data": {"@st": {"\n    f+1\n": {"count": 1, "average": 2, "total": 2}}}}
{"type": "stats", "data": {"@avg": {"\n    f+1\n": 27}}}
{"type": "map", "data": {"@n": {"\n    f+1\n": 2}}}
{"type": "map", "data": {"@n": {"\n    f+1\n": 3}}}
"""


@pytest.mark.parametrize(("text", "maps"), [(OTHERS, ("n",)), (OTHERS_JSON, ("avg", "n"))])
def test_what_is_left_out_or_added_up_is_told(text, maps, tmp_path):
    made = reading.session(text, tmp_path / "a.wb")
    assert made.kinds == maps
    assert reading.folded(made, "n") == {"f": 5}
    assert made.manifest.problems == (
        "the map @h is left out: its values are no numbers",
        "the map @n was printed several times; its values are added up",
        "the map @st is left out: its values are no numbers",
    )


def test_keys_with_several_texts(tmp_path):
    made = reading.session(b"@[\n    f+1\n, job, GET]: 3\n", tmp_path / "a.wb")
    row = made["samples"].polars().row(0, named=True)
    assert (row["comm"], row["key_2"]) == ("job", "GET")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"@[a]: 5\n", "no map of bpftrace with stacks"),
        (b"@[\n    f+1\n]: 99999999999999999999\n", "64 bits"),
        (b'{"type": "map", "data": {"@": {"\\n f\\n": 99999999999999999999}}}', "64 bits"),
        (b'{"type": "map", "data": ', "no JSON"),
        (b'{"type": "map", "data": ' + b"[" * 10**5, "no JSON"),
    ],
)
def test_what_is_refused(text, why, tmp_path):
    with pytest.raises(ImportFormatError, match=why):
        reading.session(text, tmp_path / "a.wb", "bpftrace")


def test_an_entry_that_breaks_off_is_left_out(tmp_path):
    made = reading.session(TEXT[: TEXT.index(b"@h")] + b"@[\n    f+1\n", tmp_path / "a.wb")
    assert made["samples"].num_rows == 3


@pytest.mark.timeout(reading.PATIENCE_S)
def test_damaged_files():
    words = [b"@[", b"]: 1\n", b"\n    f+1\n", b'"@"', b'{"type": "map"']
    cases = reading.mutated([TEXT, JSON], reading.CASES, words)
    good, bad = reading.fuzz(reading.reader("bpftrace"), cases)
    assert good
    assert bad


@pytest.mark.kernel
@pytest.mark.parametrize("form", ["text", "json"])
def test_figures_are_those_of_bpftrace(form, nothing_left, tmp_path):
    if shutil.which("bpftrace") is None:
        pytest.skip("bpftrace is not installed")
    burn = subprocess.Popen([BURN, "burn", "--seconds", "90"], stdout=subprocess.DEVNULL)
    program = (
        f"profile:hz:99 /pid == {burn.pid}/ {{ @[kstack, ustack, comm] = count(); "
        "@perf[ustack(perf), pid] = count(); @total = count(); } interval:s:2 { exit(); }"
    )
    try:
        done = subprocess.run(
            ["bpftrace", "-f", form, "-e", program],
            capture_output=True, check=False, timeout=100,
        )  # fmt: skip
    finally:
        burn.kill()
        burn.wait()
    if done.returncode:
        pytest.skip(f"bpftrace does not run here: {done.stderr.decode()}")
    total = total_of(done.stdout.decode(), form)
    assert total
    made = reading.session(done.stdout, tmp_path / "a.wb")
    assert made.kinds == ("samples", "perf")
    for kind in made.kinds:
        assert made.flamegraph(kind, by=()).tree.total == total
        own = reading.self_and_total(made, kind)
        assert sum(all_ for name, (_, all_) in own.items() if name.startswith("burn_")) > 0
    assert set(made["samples"].polars()["comm"].cast(str)) == {"slow-api"}
    assert set(made["perf"].polars()["key_1"]) == {burn.pid}


def total_of(text, form):
    """Return the count that bpftrace itself kept."""
    if form == "text":
        return int(text.rpartition("@total: ")[2].split()[0])
    rows = (json.loads(line) for line in text.splitlines() if line.startswith("{"))
    return next(r["data"]["@total"] for r in rows if r["type"] == "map" and "@total" in r["data"])


def test_maps_texts_and_parts_of_keys_have_bounds(monkeypatch):
    read = reading.reader("bpftrace")
    monkeypatch.setattr(bpftrace, "_samples", lambda *_: pytest.fail("they were read"))
    many = b"".join(b"@m%d[\n    f+1\n]: 1\n" % number for number in range(60))
    with pytest.raises(ImportFormatError, match="48 kinds"):
        read(io.BytesIO(many))
    monkeypatch.setattr(bpftrace, "MAX_TEXTS", 20)
    with pytest.raises(ImportFormatError, match="more than 20 parts"):
        read(io.BytesIO(b"@[\n    f+1\n" + b"a," * 21 + b"\n]: 1\n"))
    entries = b",".join(b'"%d": 1' % number for number in range(20))
    with pytest.raises(ImportFormatError, match="more than 20 texts"):
        read(io.BytesIO(b'{"type": "map", "data": {"@": {' + entries + b"}}}"))


def test_json_that_says_something_else():
    for line in (b'{"type": ["map"], "data": {"@": {"\\n f": 1}}}', b'{"type": 1e400}'):
        with pytest.raises(ImportFormatError, match="no map"):
            reading.reader("bpftrace")(io.BytesIO(line))
