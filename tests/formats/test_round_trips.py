"""Whatever a session holds, what is written in a format that is read comes back from it."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import WorkbenchError
from workbench.formats import export, formats
from workbench.formats.otlp.attributes import MAX_TEXT
from workbench.profiles.interning import Stacks
from workbench.profiles.profile import Profile, Samples, Value
from workbench.profiles.session import session_of
from workbench.session import Session, load_profile, open_session
from workbench.store.save import save_tables

BOTH = sorted(name for name, each in formats().items() if each.read and each.write)
NAME = st.one_of(
    st.sampled_from([
        "main", "a;b", "a\nb", "a\r", " ", " x ", "x 5", "0", "5", "f (a.py:3)", "f+0x1",
        "std::map<int, a>()", "[unknown]", "{}", '"', "\\", "ü\u2028", "\x85", "\0", "\x1b[0m",
        "😀", "%s", "n" * 5000, "_[x]",
    ]),
    st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=6),
)  # fmt: skip
FRAME = st.tuples(NAME, st.sampled_from(["native", "python", "kernel", "inlined"]))
AMOUNT = st.integers(0, 1000) | st.integers(0, 1 << 50)
THREAD = st.sampled_from(["", "thread", "ü ;1"])


def samples_of(amounts, frame=FRAME):
    """Return a strategy for samples: frames from leaf to root, ns, thread."""
    stacks = st.lists(frame, max_size=5)
    return st.lists(st.tuples(stacks, amounts, THREAD), min_size=1, max_size=6)


def session(samples, path) -> Session:
    """Return a session of (frames from leaf to root, ns, thread) with one sample each."""
    stacks = Stacks()
    ids = [
        stacks.stack([
            stacks.frame(name, kind=kind, file="a.py" if kind == "python" else None)
            for name, kind in frames
        ])
        for frames, _, _ in samples
    ]  # fmt: skip
    values = (
        Value("samples", "count", np.ones(len(ids), np.int64)),
        Value("cpu", "nanoseconds", np.array([one for _, one, _ in samples], np.int64)),
    )
    columns = {"comm": pa.array([comm for _, _, comm in samples], pa.string())}
    made = Samples(np.array(ids, np.uint32), values, columns, table="cpu")
    profile = Profile(stacks.frames_table(), stacks.stacks_table(), (made,), start_ns=10**18)
    manifest, tables = session_of(profile, format="x", source="x", modified_ns=1)
    rows = {name: (table.schema, table.to_batches()) for name, table in tables.items()}
    return open_session(save_tables(manifest, rows, path))


def sums(samples, plain=str):
    """Return self and total of each function, and the sum of each stack from root to leaf."""
    own, total, stacks = Counter(), Counter(), Counter()
    for frames, amount, _ in samples:
        names = [plain(name) for name in frames]
        own.update({names[0]: amount} if names else {})
        total.update(dict.fromkeys(names, amount))
        stacks[tuple(reversed(names))] += amount
    functions = {name: (own[name], total[name]) for name in total if own[name] or total[name]}
    return functions, {names: amount for names, amount in stacks.items() if amount}


def held(rec, table, weight):
    """Return the samples of a session: frames from leaf to root, amount, thread."""
    frames = rec["frames"].polars()["function"].to_list()
    stacks = rec["stacks"].polars()["frame_ids"].to_list()
    rows = rec[table].polars()
    columns = (rows["stack_id"], rows[weight].cast(int), rows["comm"].cast(str))
    return [
        ([frames[at] for at in stacks[stack]], amount, comm)
        for stack, amount, comm in zip(*(each.to_list() for each in columns), strict=True)
    ]


TABLES = {
    "folded": ("cpu", "cpu", "samples"),
    "otlp-json": ("profiles", "cpu_cpu_nanoseconds", "cpu_nanoseconds"),
    "otlp-proto": ("profiles", "cpu_cpu_nanoseconds", "cpu_nanoseconds"),
    "pprof": ("cpu", "cpu", "cpu_nanoseconds"),
    "speedscope": ("cpu", "cpu", "cpu_ns"),
}
"""What is exported, which table is made of it, and the column that has the nanoseconds."""
SIGNED = ("otlp-json", "otlp-proto", "pprof")
"""Formats whose amounts may be negative, as those of a difference of two profiles."""


def test_every_format_is_here():
    assert sorted(TABLES) == BOTH


def back(samples, name):
    """Return the samples that a file of some samples holds."""
    table, again, weight = TABLES[name]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        rec = session(samples, place / "a.wb")
        plain = [([name for name, _ in frames], *rest) for frames, *rest in samples]
        assert sums(held(rec, "cpu", "cpu_nanoseconds")) == sums(plain)
        export(rec, name, place / "out", table=table)
        return held(load_profile(place / "out", place / "b.wb", format=name), again, weight)


@pytest.mark.parametrize("name", [name for name in BOTH if name != "folded"])
@settings(max_examples=12)
@given(data=st.data())
def test_stacks_names_and_sums(name, data):
    amounts = AMOUNT | st.integers(-(1 << 50), -1) if name in SIGNED else AMOUNT
    samples = data.draw(samples_of(amounts))
    if name == "speedscope" and not any(amount for _, amount, _ in samples):
        return  # it refuses files without a profile
    made = back(samples, name)
    expected = [([text for text, _ in frames], *rest) for frames, *rest in samples]
    longest = MAX_TEXT if name.startswith("otlp") else 10**6
    assert sums(made) == sums(expected, lambda text: text[:longest])
    if name != "speedscope":  # there a thread is what has an id
        assert threads(made) == threads(samples)


def threads(samples):
    """Return the sum of each thread: formats that sum samples up have no order of threads."""
    found = Counter()
    for _, amount, comm in samples:
        found[comm] += amount
    return dict(found)


MARKED = re.compile(r"_\[[kji]\]$| \(.*\)$", re.S)
"""Names that mean more in folded stacks."""


@settings(max_examples=12)
@given(samples_of(AMOUNT, FRAME.filter(lambda frame: not MARKED.search(frame[0]))))
def test_folded_stacks(samples):
    """The thread is the outermost frame, unless none has a name; what divides lines is replaced."""
    if not any(amount for _, amount, _ in samples):
        return  # what weighs nothing is left out
    threaded = any(comm for _, _, comm in samples)
    expected = [
        ([*(name for name, _ in frames), *([comm or "[no name]"] if threaded else [])], amount, "")
        for frames, amount, comm in samples
    ]
    assert sums(back(samples, "folded")) == sums(expected, lambda text: text.translate(FOLDED))


FOLDED = str.maketrans({";": ":", "\r": " ", "\n": " "})


@pytest.mark.parametrize("name", BOTH)
def test_a_session_without_samples(name, tmp_path):
    """It is a profile for pprof; the others say that there is none."""
    rec = session([], tmp_path / "a.wb")
    if name == "pprof":
        export(rec, name, tmp_path / "out", table="cpu")
        assert load_profile(tmp_path / "out", tmp_path / "b.wb")["cpu"].num_rows == 0
        return
    with pytest.raises(WorkbenchError, match=r"[Nn]othing is selected|no stacks|no OTLP profiles"):
        export(rec, name, tmp_path / "out", table=TABLES[name][0])
        load_profile(tmp_path / "out", tmp_path / "b.wb", format=name)
