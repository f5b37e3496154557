"""speedscope files: the schema, the figures, and speedscope itself."""

from __future__ import annotations

import io
import json
import tempfile
from collections import Counter
from pathlib import Path

import importers
import jsonschema
import pytest
import reading
import synthetic
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import ImportFormatError, MissingTableError
from workbench.formats import export, speedscope
from workbench.session import open_session


@pytest.fixture(scope="module")
def rec(tmp_path_factory):
    path = tmp_path_factory.mktemp("speedscope") / "a.wb"
    return open_session(synthetic.make_session(path, kinds=("syscalls", "cpu", "offcpu"), rows=700))


def written(rec, path, table=None):
    export(rec, "speedscope", path, table=table)
    return json.loads(path.read_bytes())


def sums(document):
    """Return self and total of each function, from sampled profiles."""
    frames = document["shared"]["frames"]
    own, total = Counter(), Counter()
    for profile in document["profiles"]:
        for stack, weight in zip(profile["samples"], profile["weights"], strict=True):
            if stack:
                own[frames[stack[-1]]["name"]] += weight
            total.update(dict.fromkeys({frames[at]["name"] for at in stack}, weight))
    return +own, total


def evented_self(profile, frames):
    """Return the self weight of each function, from an evented profile."""
    own, stack, last = Counter(), [], 0
    for event in profile["events"]:
        if stack:
            own[frames[stack[-1]]["name"]] += event["at"] - last
        last = event["at"]
        if event["type"] == "O":
            stack.append(event["frame"])
        else:
            assert stack.pop() == event["frame"]
    assert not stack
    return +own


def expected(rec, kind):
    """Return self and total of each function's name, as the session has them."""
    spots = rec.hotspots(kind).functions
    own, total = Counter(), Counter()
    for name, self_, total_ in spots.select("name", "self", "total").iter_rows():
        own[name] += self_
        total[name] += total_
    return +own, total


@pytest.mark.parametrize(("kind", "unit"), [("cpu", "none"), ("offcpu", "nanoseconds")])
@pytest.mark.parametrize("pids", [None, [1000, 2000]], ids=["all", "some"])
def test_weights_are_those_of_the_hot_spots(rec, kind, unit, pids, tmp_path):
    part = rec.where(pid=pids) if pids else rec
    document = written(part, tmp_path / "out", kind)
    assert sums(document) == expected(part, kind)
    assert {profile["unit"] for profile in document["profiles"]} == {unit}
    for profile in document["profiles"]:
        assert profile["endValue"] == sum(profile["weights"])
    threads = part[kind].polars().select("pid", "tid").n_unique()
    assert len(document["profiles"]) == threads
    heaviest = document["profiles"][document["activeProfileIndex"]]
    assert heaviest["endValue"] == max(p["endValue"] for p in document["profiles"])


def test_samples_are_in_the_order_of_time(rec, tmp_path):
    document = written(rec, tmp_path / "out")
    frames = document["shared"]["frames"]
    mine = next(p for p in document["profiles"] if p["name"] == "worker-0 (1000/1001)")
    rows = rec.where(tid=1001)["cpu"].polars().sort("ts", maintain_order=True)
    names = [[synthetic.FRAMES[at][0] for at in synthetic.STACKS[s]] for s in rows["stack_id"]]
    assert [[frames[at]["name"] for at in stack] for stack in mine["samples"]] == names
    assert mine["weights"] == rows["weight"].to_list()
    assert {"name": "compute", "file": "job.c"} in frames


def test_is_deterministic_and_meets_the_schema(rec, tmp_path):
    document = written(rec, tmp_path / "a")
    written(rec, tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    release = importers.importer("speedscope") / "dist" / "release"
    schema = json.loads((release / "file-format-schema.json").read_text())
    jsonschema.Draft7Validator(schema).validate(document)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(schema).validate(document | {"profiles": [{}]})


@pytest.mark.browser
def test_speedscope_opens_it(rec, tmp_path):
    document = written(rec, tmp_path / "cpu.speedscope.json")
    blocked = written(rec, tmp_path / "off.speedscope.json", "offcpu")
    with importers.speedscope(tmp_path) as opened:
        counted = opened(tmp_path / "cpu.speedscope.json")
        timed = opened(tmp_path / "off.speedscope.json")
        export(rec, "chrome", tmp_path / "a.trace.json", table="offcpu")
        trace = opened(tmp_path / "a.trace.json")  # it reads Chrome traces, too
    threads = {(pid, tid) for tid, (pid, _, _) in synthetic.THREADS.items()}
    names = [one["name"] for one in trace["profiles"]]
    assert len(names) == len(threads)
    for pid, tid in threads:
        assert any(f"(pid {pid})" in name and f"(tid {tid})" in name for name in names)
    for mine, found, kind in ((document, counted, "cpu"), (blocked, timed, "offcpu")):
        frames = found["shared"]["frames"]
        own = Counter()
        for profile in found["profiles"]:
            own += evented_self(profile, frames)
        assert own == expected(rec, kind)[0]
        # What speedscope saves is evented: it is read back, too.
        made = reading.session(json.dumps(found).encode(), tmp_path / f"{kind}.wb")
        spots = reading.self_and_total(made, "cpu")
        assert {name: own for name, (own, _) in spots.items() if own} == expected(rec, kind)[0]
        assert {name: total for name, (_, total) in spots.items()} == expected(rec, kind)[1]
        assert [p["name"] for p in found["profiles"]] == [p["name"] for p in mine["profiles"]]
        assert [p["unit"] for p in found["profiles"]] == [p["unit"] for p in mine["profiles"]]


def test_by_default_the_table_with_stacks(tmp_path):
    path = synthetic.make_session(tmp_path / "a.wb", kinds=("syscalls", "offcpu"), rows=50)
    document = written(open_session(path), tmp_path / "out")
    assert {profile["unit"] for profile in document["profiles"]} == {"nanoseconds"}


def test_nothing_selected_and_no_stacks(rec, tmp_path):
    with pytest.raises(MissingTableError, match="selected"):
        export(rec.where(pid=77), "speedscope", tmp_path / "out")
    with pytest.raises(MissingTableError, match="stack_id"):
        export(rec, "speedscope", tmp_path / "out", table="syscalls")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["cpu", "offcpu"])
def test_what_is_written_is_read(rec, kind, tmp_path):
    export(rec, "speedscope", tmp_path / "out", table=kind)
    made = reading.session((tmp_path / "out").read_bytes(), tmp_path / "b.wb")
    assert made.kinds == (kind,)
    assert reading.folded(made, kind) == reading.folded(rec, kind)
    threads = ["pid", "tid", "comm"]
    counted = [one[kind].polars().group_by("pid", "tid").len().sort("tid") for one in (made, rec)]
    assert counted[0].equals(counted[1])
    assert made[kind].polars().select(threads).filter(tid=1001)["comm"].unique()[0] == "worker-0"
    export(made, "speedscope", tmp_path / "again", table=kind)
    first, second = (json.loads((tmp_path / n).read_bytes()) for n in ("out", "again"))
    assert sums(second) == sums(first)
    assert [p["weights"] for p in second["profiles"]] == [p["weights"] for p in first["profiles"]]
    assert [p["name"] for p in second["profiles"]] == [p["name"] for p in first["profiles"]]


STACK = st.lists(st.integers(0, 4), max_size=5)
UNITS = {"none": 1, "nanoseconds": 1, "microseconds": 1000, "seconds": 10**9, "bytes": 1}


def evented_of(stacks, weights):
    """Return the events of samples, as speedscope makes them: what stays open is not closed."""
    events, now, at = [], [], 0
    for stack, weight in zip([*stacks, []], [*weights, 0], strict=True):
        same = 0
        while same < min(len(now), len(stack)) and now[same] == stack[same]:
            same += 1
        events += [{"type": "C", "frame": f, "at": at} for f in reversed(now[same:])]
        events += [{"type": "O", "frame": f, "at": at} for f in stack[same:]]
        now, at = stack, at + weight
    return {"type": "evented", "startValue": 0, "endValue": at, "events": events}


@settings(max_examples=25)
@given(
    st.lists(st.tuples(STACK, st.integers(1, 10**6)), min_size=1, max_size=8),
    st.sampled_from(sorted(UNITS)),
    st.booleans(),
)
def test_sampled_and_evented_profiles(samples, unit, as_events):
    stacks, weights = [stack for stack, _ in samples], [weight for _, weight in samples]
    frames = [{"name": f"f{at}"} for at in range(5)]
    if as_events:
        profile = evented_of(stacks, weights)
    else:
        profile = {"type": "sampled", "samples": stacks, "weights": weights}
        profile |= {"startValue": 0, "endValue": sum(weights)}
    document = {"shared": {"frames": frames}, "profiles": [{**profile, "name": "a", "unit": unit}]}
    own = Counter()
    for stack, weight in samples:
        # Nothing is open in an empty stack of events: that time is nobody's.
        if stack or not as_events:
            own[";".join(f"f{at}" for at in stack)] += weight * UNITS[unit]
    if not own:
        return
    with tempfile.TemporaryDirectory() as folder:
        made = reading.session(json.dumps(document).encode(), Path(folder) / "a.wb")
        table = "bytes" if unit == "bytes" else "cpu"
        assert reading.folded(made, table) == own


FRAMES = {"frames": [{"name": "a"}, {"name": "b", "file": "x.py", "line": 3}]}
EVENT = {"type": "evented", "name": "e", "unit": "milliseconds", "startValue": 0, "endValue": 9.5}


@pytest.mark.parametrize(
    ("profile", "why"),
    [
        ({"type": "sampled", "samples": [[0]], "weights": [1, 2]}, "2 weights for 1"),
        ({"type": "sampled", "samples": [[2]], "weights": [1]}, "none of the 2"),
        ({"type": "sampled", "samples": [[-1]], "weights": [1]}, "none of the 2"),
        ({"type": "sampled", "samples": [["0"]], "weights": [1]}, "no list of frames"),
        ({"type": "sampled", "samples": [[None]], "weights": [1]}, "null"),
        ({"type": "sampled", "samples": [0], "weights": [1]}, "no list of frames"),
        ({"type": "sampled", "samples": [[0]], "weights": ["1"]}, "no number"),
        ({"type": "sampled", "samples": [[0]], "weights": [10**400]}, "too large|no number"),
        ({"type": "sampled", "samples": [[0]], "weights": [1e19]}, "64 bits"),
        ({"type": "sampled", "samples": {}, "weights": []}, "no list of samples"),
        ({"type": "other"}, "not known"),
        ({**EVENT, "events": [{"type": "C", "at": 1, "frame": 0}]}, "neither the begin"),
        ({**EVENT, "events": [{"type": "O", "at": 1, "frame": 0}]}, "do not end"),
        ({**EVENT, "events": [{"type": "O", "at": 99, "frame": 0}]}, "go back"),
        ({**EVENT, "events": [{"type": "O", "at": 1}]}, "not whole"),
        ({**EVENT, "events": [{"type": "O", "at": 1, "frame": 0}] * 70_000}, "deeper"),
        ({**EVENT, "events": [{"type": "O", "at": 1, "frame": [0]}]}, "no whole number"),
        ({**EVENT, "events": [{"type": "O", "at": 1, "frame": []}]}, "no whole number"),
        ({**EVENT, "events": [{"type": "O", "at": 1, "frame": 0.9}]}, "no whole number"),
        ({**EVENT, "events": [{"type": "O", "at": 1, "frame": "0"}]}, "no whole number"),
        ({**EVENT, "events": [{"type": "O", "at": 1, "frame": True}]}, "no whole number"),
        ({"type": "sampled", "samples": [[True]], "weights": [1]}, "no list of frames"),
        ({"type": "sampled", "samples": [{}], "weights": [1]}, "no list of frames"),
        ({"type": "sampled", "samples": [[0]], "weights": [1], "unit": []}, "not known"),
        ({"type": []}, "not known"),
    ],
)  # fmt: skip
def test_what_is_refused(profile, why, tmp_path):
    document = {"shared": FRAMES, "profiles": [{"name": "x", "unit": "none", **profile}]}
    with pytest.raises(ImportFormatError, match=why):
        reading.session(json.dumps(document).encode(), tmp_path / "a.wb", "speedscope")


@pytest.mark.parametrize("content", [b"{", b"[1]", b'{"shared": 1, "profiles": []}', b"[" * 10**6])
def test_what_is_no_speedscope_file(content, tmp_path):
    with pytest.raises(ImportFormatError):
        reading.session(content, tmp_path / "a.wb", "speedscope")


def test_fractions_are_no_counts(tmp_path):
    profile = {"type": "sampled", "samples": [[0], [1]], "weights": [0.25, 0.5], "name": "x"}
    document = {"shared": FRAMES, "profiles": [{**profile, "unit": "milliseconds"}]}
    made = reading.session(json.dumps(document).encode(), tmp_path / "a.wb")
    assert reading.folded(made, "cpu") == {"a": 250_000, "b": 500_000}
    assert made["frames"].polars().row(1, named=True)["line"] == 3
    document["profiles"][0]["unit"] = "none"
    with pytest.raises(ImportFormatError, match="whole number"):
        reading.session(json.dumps(document).encode(), tmp_path / "a.wb")


@pytest.mark.timeout(reading.PATIENCE_S)
def test_damaged_files(rec, tmp_path):
    document = written(rec, tmp_path / "out")
    for profile in document["profiles"]:
        profile["samples"], profile["weights"] = profile["samples"][:3], profile["weights"][:3]
    events = [{"type": kind, "at": at, "frame": 0} for at, kind in enumerate("OCOC")]
    other = {"shared": FRAMES, "profiles": [{**EVENT, "events": events}]}
    seeds = [json.dumps(one).encode() for one in (document, other)]
    words = [b"[]", b"{}", b"null", b'"O"', b'"frame":1', b"1.5", b"-0", b"[[0]]", b'"\\ud800"']
    cases = reading.mutated(seeds, 10 * reading.CASES, words)
    good, bad = reading.fuzz(reading.reader("speedscope"), cases)
    assert good
    assert bad


def test_units_and_names_may_be_half_a_surrogate_pair(tmp_path):
    profile = {"type": "sampled", "samples": [[0]], "weights": [1], "name": "\ud800"}
    frames = {"frames": [{"name": "\udfff", "file": "\ud800"}]}
    document = {"shared": frames, "profiles": [{**profile, "unit": "\ud800"}]}
    made = reading.session(json.dumps(document).encode(), tmp_path / "a.wb", "speedscope")
    assert reading.folded(made, made.kinds[0]) == {"?": 1}


def test_profiles_and_units_have_bounds(monkeypatch):
    profile = {"type": "sampled", "samples": [[0]], "weights": [1], "name": "x"}
    profiles = [{**profile, "unit": f"u{number}"} for number in range(60)]
    content = json.dumps({"shared": FRAMES, "profiles": profiles}).encode()
    monkeypatch.setattr(speedscope, "_samples", lambda *_: pytest.fail("they were read"))
    with pytest.raises(ImportFormatError, match="48 kinds"):
        speedscope.read(io.BytesIO(content))
    monkeypatch.setattr(speedscope, "MAX_PROFILES", 59)
    with pytest.raises(ImportFormatError, match="59 profiles"):
        speedscope.read(io.BytesIO(content))


def test_profiles_of_py_spy(tmp_path):
    frames = [
        {"name": 'process 7:"python job.py"', "file": "", "line": 0, "col": None},
        {"name": "thread (9): pool (1)", "file": "", "line": 0, "col": None},
        {"name": "work", "file": "/a/job.py", "line": 4, "col": None},
        {"name": "deflate", "file": "/lib/libz.so.1", "line": 0, "col": None},
        {"name": "compress", "file": "zlib.c", "line": 12, "col": None},
        {"name": "0x7f12", "file": "?", "line": 0, "col": None},
    ]
    names = ['Process 7 Thread 9 "pool (1)"', 'Process 7 Thread 7 ""']
    made = [
        {"type": "sampled", "name": name, "unit": "seconds", "startValue": 0, "endValue": 0.03,
         "samples": [[0, 1, 2, 4, 3], [0, 2, 5]], "weights": [0.01, 0.02]}
        for name in names
    ]  # fmt: skip
    schema = "https://www.speedscope.app/file-format-schema.json"
    document = {"$schema": schema, "shared": {"frames": frames}, "profiles": made,
                "name": "py-spy profile", "exporter": "py-spy@0.4.3"}  # fmt: skip
    rec = reading.session(json.dumps(document).encode(), tmp_path / "a.wb")
    rows = rec["cpu"].polars().select("pid", "tid", "comm", "time").rows()
    assert rows == [
        (7, 9, "pool (1)", 10_000_000),
        (7, 9, "pool (1)", 20_000_000),
        (7, 7, "thread 7", 10_000_000),
        (7, 7, "thread 7", 20_000_000),
    ]
    assert reading.folded(rec, "cpu") == {
        "work;compress;deflate": 20_000_000,
        "work;0x7f12": 40_000_000,
    }
    found = rec["frames"].polars().select("function", "kind", "file", "line", "module").rows()
    assert set(found) == {
        ("work", "python", "/a/job.py", 4, ""),
        ("deflate", "native", None, None, "/lib/libz.so.1"),
        ("compress", "native", "zlib.c", 12, ""),
        ("0x7f12", "native", None, None, ""),
    }
    # Without --subprocesses no process is told, and a handle is no thread id.
    for one, name in zip(made, ('Thread 0x7F12 "a"', 'Thread 5 "b"'), strict=True):
        one["name"] = name
    rec = reading.session(json.dumps(document).encode(), tmp_path / "b.wb")
    table = rec["cpu"].polars()
    assert table["comm"].to_list() == ["a", "a", "b", "b"]
    assert not {"pid", "tid"} & set(table.columns)
    # Of another tool, a text in quotes is but a name, and a frame a frame.
    document["exporter"] = "other"
    rec = reading.session(json.dumps(document).encode(), tmp_path / "c.wb")
    assert len(rec["frames"].polars()) == len(frames)
