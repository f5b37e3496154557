from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

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


def test_py_spy(tmp_path):
    program = tmp_path / "job.py"
    program.write_text(
        "import time\ndef inner():\n    return sum(range(3000))\ndef outer():\n"
        "    end = time.time() + 2\n    while time.time() < end:\n        inner()\nouter()\n"
    )
    spy = os.path.join(os.path.dirname(sys.executable), "py-spy")
    if not os.path.exists(spy):
        pytest.skip("py-spy is not installed")
    said = {}
    for form in ("raw", "speedscope"):
        out = tmp_path / form
        done = subprocess.run(
            [spy, "record", "-f", form, "-o", out, "-r", "100", "--",
             sys.executable, "-I", "-S", program],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert out.exists(), done.stderr
        said[form] = load_profile(out, tmp_path / f"{form}.wb")
    lines = [line.rpartition(" ") for line in (tmp_path / "raw").read_text().splitlines()]
    total = sum(int(weight) for _, _, weight in lines)
    expected = Counter()
    for stack, _, weight in lines:
        names = {frame.partition(" (")[0] for frame in stack.split(";")}
        expected.update(dict.fromkeys(names - {""}, int(weight)))
    found = reading.self_and_total(said["raw"], "cpu")
    assert {name: total for name, (_, total) in found.items()} == dict(expected)
    assert said["raw"].flamegraph(by=()).tree.total == total
    assert {"outer", "inner"} <= reading.self_and_total(said["speedscope"], "cpu").keys()
    assert said["speedscope"].hotspots().functions.filter(name="outer")["kind"].item() == "python"


@pytest.mark.timeout(reading.PATIENCE_S)
def test_damaged_files():
    seeds = [b"main;work;inner 5\nmain 2\nx;y_[k] 7\n", b"<module> (b.py:7);f (b.py:3) 83\n 19\n"]
    good, bad = reading.fuzz(reading.reader("folded"), reading.mutated(seeds, reading.CASES))
    assert good
    assert bad
