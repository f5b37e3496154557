from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
import reading
import synthetic
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import ImportFormatError, MissingTableError
from workbench.formats import export
from workbench.recording import Recording
from workbench.session import load_profile

TRUTH = synthetic.truth(rows=700)


@pytest.fixture(scope="module")
def rec(tmp_path_factory):
    path = tmp_path_factory.mktemp("folded") / "a.wb"
    return Recording.open(synthetic.make_session(path, rows=700))


def test_stacks_are_the_truth(rec, tmp_path):
    export(rec, "folded", tmp_path / "out")
    lines = (tmp_path / "out").read_text().splitlines()
    found = {key: int(weight) for key, _, weight in (line.rpartition(" ") for line in lines)}
    expected = {}
    for key, weight in TRUTH.folded().items():
        name = key if not key.startswith(";") else "[no name]" + key
        expected[name] = expected.get(name, 0) + weight
    assert found == expected
    assert sum(found.values()) == TRUTH.columns["cpu"]["weight"].sum()


def test_without_samples_there_are_no_stacks(tmp_path):
    rec = Recording.open(synthetic.make_session(tmp_path / "a", kinds=("syscalls",), rows=10))
    with pytest.raises(MissingTableError, match="cpu"):
        export(rec, "folded", tmp_path / "out")
    assert not (tmp_path / "out").exists()


# Names as other tools write them: with blanks, brackets, numbers, any script; no marks of ours.
NAME = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters=";\u2028\u2029\x85"),
    min_size=1, max_size=8,
).filter(lambda name: name.strip() and not name.endswith("]") and ":" not in name)  # fmt: skip
STACKS = st.dictionaries(
    st.lists(NAME, min_size=1, max_size=5).map(tuple), st.integers(1, 2**40), min_size=1, max_size=8
)


@settings(max_examples=15)
@given(STACKS)
def test_what_is_written_is_read(stacks):
    lines = sorted(f"{';'.join(stack)} {weight}" for stack, weight in stacks.items())
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        made = reading.session("\n".join(lines).encode(), place / "a.wb", "folded")
        assert reading.folded(made, "cpu") == {";".join(s): w for s, w in stacks.items()}
        export(made, "folded", place / "out")
        assert sorted((place / "out").read_text().splitlines()) == lines
        again = load_profile(place / "out", place / "b.wb", format="folded")
        assert reading.folded(again, "cpu") == reading.folded(made, "cpu")


def test_marks_places_and_empty_stacks(tmp_path):
    text = (
        b"main;vfs_read_[k];x_[j];y_[i];z_[w] 5\r\n"
        b"<module> (job.py:3);handle (lib/a b.py:12);PyDict_New (dictobject.c:44) 7\n"
        b"\nmain;vfs_read_[k];x_[j];y_[i];z_[w] 2\n 19\n"
    )
    assert reading.recognised_as(text) == "folded"
    made = reading.session(text, tmp_path / "a.wb")
    rows = made["frames"].polars().select("function", "kind", "file", "line").rows()
    assert set(rows) == {
        ("main", "unknown", None, None),
        ("vfs_read", "kernel", None, None),
        ("x", "jit", None, None),
        ("y", "inlined", None, None),
        ("z_[w]", "unknown", None, None),
        ("<module>", "python", "job.py", 3),
        ("handle", "python", "lib/a b.py", 12),
        ("PyDict_New", "native", "dictobject.c", 44),
    }
    assert made["cpu"].polars()["samples"].to_list() == [7, 7, 19]
    assert made.flamegraph(by=()).tree.total == 33


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"a;b 1\na;b\n", "Line 2 is no folded stack"),
        (b"a;b x\n", "Line 1 is no folded stack"),
        (b"\n\n", "no stacks"),
        (b"a;b 9999999999999999999\n", "cannot be '9999999999999999999'"),
        (b"a;b 9000000000000000000\nc 9000000000000000000\n", "larger than 64 bits"),
        (b"f;" * 70_000 + b"x 1\n", "more stack frames"),
    ],
)
def test_what_is_refused(text, why, tmp_path):
    with pytest.raises(ImportFormatError, match=why):
        reading.session(text, tmp_path / "a.wb", "folded")


def test_what_it_is_not():
    for other in (b"hello world\n", b"", b"1 2 3 x\n", b"a;b\0 5\n", b'{"a": 5}\n'):
        with pytest.raises(ImportFormatError):
            reading.recognised_as(other)


PY_SPY = """\
process 70:"python job.py";thread (71): pool; a;clone3 (libc.so.6);work (job.py:4);deflate (z.c:9) 6
process 70:"python job.py";thread (72): idle;clone3 (libc.so.6);work (job.py:4);deflate (z.c:9) 3
process 70:"python job.py";process 80:"job.py "x; y"";thread (80): MainThread;<module> (job.py:9) 5
"""


def test_processes_and_threads_of_py_spy(tmp_path):
    made = reading.session(PY_SPY.encode(), tmp_path / "a.wb")
    rows = made["cpu"].polars().select("pid", "tid", "comm", "stack_id", "samples").rows()
    assert rows == [
        (70, 71, "pool; a", 0, 6),
        (70, 72, "idle", 0, 3),
        (80, 80, "MainThread", 1, 5),
    ]
    frames = made["frames"].polars().select("function", "kind", "file", "line", "module").rows()
    assert set(frames) == {
        ("clone3", "native", None, None, "libc.so.6"),
        ("work", "python", "job.py", 4, ""),
        ("deflate", "native", "z.c", 9, ""),
        ("<module>", "python", "job.py", 9, ""),
    }
    assert made["processes"].polars()["tid"].to_list() == [71, 72, 80]
    assert made.flamegraph(by=()).tree.total == 14


def test_threads_of_perf(tmp_path):
    """As ``stackcollapse-perf.pl --tid --kernel`` writes them."""
    text = b"my-app-12/15;main;read;vfs_read_[k] 4\nmy-app-12/16;main;f_[i] 2\n"
    made = reading.session(text, tmp_path / "a.wb")
    rows = made["cpu"].polars().select("pid", "tid", "comm", "samples").rows()
    assert rows == [(12, 15, "my-app", 4), (12, 16, "my-app", 2)]
    assert reading.folded(made, "cpu") == {"main;read;vfs_read": 4, "main;f": 2}


JOB = """\
import subprocess, sys, threading, time
def inner():
    return sum(range(3000))
def outer():
    end = time.time() + 1
    while time.time() < end:
        inner()
child = subprocess.Popen([*sys.orig_argv, "child"]) if len(sys.argv) < 2 else None
thread = threading.Thread(target=outer, name="pool; a")
thread.start()
outer()
thread.join()
if child:
    child.wait()
"""
ROOTS = re.compile(r'^(?:process (\d+):"[^"]*";)+thread \((\d+)\)(?:: (?:pool; a|[^;]*))?(?:;|$)')


def _threads(made, column):
    rows = made["cpu"].polars().group_by("pid", "tid").agg(pl.col(column).sum()).rows()
    return {(pid, tid): amount for pid, tid, amount in rows}


def test_py_spy(tmp_path):
    program = tmp_path / "job.py"
    program.write_text(JOB)
    spy = os.path.join(os.path.dirname(sys.executable), "py-spy")
    if not os.path.exists(spy):
        pytest.skip("py-spy is not installed")
    said = {}
    for form in ("raw", "speedscope"):
        out = tmp_path / form
        done = subprocess.run(
            [spy, "record", "-f", form, "-o", out, "-r", "100", "--threads", "--subprocesses", "--",
             sys.executable, "-I", "-S", program],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert out.exists(), done.stderr
        said[form] = load_profile(out, tmp_path / f"{form}.wb")
    lines = [line.rpartition(" ") for line in (tmp_path / "raw").read_text().splitlines()]
    total = sum(int(weight) for _, _, weight in lines)
    expected, threads = Counter(), Counter()
    for stack, _, weight in lines:
        roots = ROOTS.match(stack)
        assert roots, stack
        # A function is one of a file: each has its <module>.
        functions = {re.sub(r":\d+\)$", "", frame) for frame in stack[roots.end() :].split(";")}
        for function in functions - {""}:
            expected[function.partition(" (")[0]] += int(weight)
        threads[int(roots[1]), int(roots[2])] += int(weight)
    found = reading.self_and_total(said["raw"], "cpu")
    assert {name: total for name, (_, total) in found.items()} == dict(expected)
    assert said["raw"].flamegraph(by=()).tree.total == total
    assert _threads(said["raw"], "samples") == threads
    assert len({pid for pid, _ in threads}) == 2

    expected = Counter()
    for one in json.loads((tmp_path / "speedscope").read_text())["profiles"]:
        pid, tid = re.match(r"Process (\d+) Thread (\d+) ", one["name"]).groups()
        expected[int(pid), int(tid)] += round(sum(one["weights"]) * 1e9)
    assert _threads(said["speedscope"], "time") == expected
    for made in said.values():
        names = set(reading.self_and_total(made, "cpu"))
        assert {"outer", "inner"} <= names
        assert not [name for name in names if name.startswith(("process", "thread ("))]
        assert "pool; a" in made["cpu"].polars()["comm"].unique().to_list()
        assert made.hotspots().functions.filter(name="outer")["kind"].item() == "python"


@pytest.mark.timeout(reading.PATIENCE_S)
def test_damaged_files():
    seeds = [b"main;work;inner 5\nmain 2\nx;y_[k] 7\n", b"<module> (b.py:7);f (b.py:3) 83\n 19\n",
        PY_SPY.encode(), b"a-1/2;main 5\na-1/3;main;x_[k] 7\n",
    ]  # fmt: skip
    good, bad = reading.fuzz(reading.reader("folded"), reading.mutated(seeds, reading.CASES))
    assert good
    assert bad
