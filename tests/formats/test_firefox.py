"""Firefox profiles: a strict reading of the format, and the Firefox Profiler itself."""

from __future__ import annotations

import json
from collections import Counter

import importers
import pytest
import synthetic

from workbench.errors import ExportError, MissingTableError
from workbench.formats import export
from workbench.session import open_session

# Columns of the tables of version 60, and whether null may stand in them (src/types/profile.ts).
SHARED = {
    "stackTable": {"frame": "frameTable", "prefix": "stackTable?"},
    "frameTable": {
        "address": int, "inlineDepth": int, "category": int, "subcategory": int,
        "func": "funcTable", "nativeSymbol": "nativeSymbols?", "innerWindowID": int,
        "line": (int, None), "column": (int, None),
    },
    "funcTable": {
        "name": "stringArray", "isJS": bool, "relevantForJS": bool, "resource": int,
        "source": "sources?", "lineNumber": (int, None), "columnNumber": (int, None),
    },
    "resourceTable": {
        "type": int, "lib": (int, None), "name": "stringArray", "host": "stringArray?",
    },
    "sources": {"id": (str, None), "filename": "stringArray"},
    "nativeSymbols": {"libIndex": int, "address": int, "name": "stringArray", "functionSize": int},
}  # fmt: skip


@pytest.fixture(scope="module")
def rec(tmp_path_factory):
    path = tmp_path_factory.mktemp("firefox") / "a.wb"
    return open_session(synthetic.make_session(path, kinds=("syscalls", "cpu", "offcpu"), rows=700))


@pytest.fixture(scope="module")
def document(rec, tmp_path_factory):
    return written(rec, tmp_path_factory.mktemp("firefox") / "out")


def written(rec, path, table=None):
    export(rec, "firefox", path, table=table)
    return json.loads(path.read_bytes())


def size(shared, table):
    return len(shared[table]) if table == "stringArray" else shared[table]["length"]


def check(shared, values, kind, length):
    assert len(values) == length
    if isinstance(kind, str):
        limit = size(shared, kind.rstrip("?"))
        for value in values:
            assert (value is None and kind.endswith("?")) or 0 <= value < limit
    else:
        kinds = kind if isinstance(kind, tuple) else (kind,)
        for value in values:
            assert value is None if type(value) is type(None) else type(value) in kinds
            assert value is not None or None in kinds


def test_tables_are_as_the_format_says(document):
    assert set(document) == {"meta", "libs", "shared", "threads"}
    shared = document["shared"]
    assert set(shared) == {*SHARED, "stringArray"}
    assert len(set(shared["stringArray"])) == len(shared["stringArray"])
    for name, columns in SHARED.items():
        table = shared[name]
        assert set(table) == {*columns, "length"}
        for column, kind in columns.items():
            check(shared, table[column], kind, table["length"])
    for at, prefix in enumerate(shared["stackTable"]["prefix"]):
        assert prefix is None or prefix < at  # callers first
    resources = shared["resourceTable"]["length"]
    assert all(-1 <= one < resources for one in shared["funcTable"]["resource"])
    categories = document["meta"]["categories"]
    assert any(one["color"] == "grey" for one in categories)
    assert all(one < len(categories) for one in shared["frameTable"]["category"])
    assert document["meta"]["preprocessedProfileVersion"] == 60


def test_threads_are_as_the_format_says(document):
    schemas = {one["name"]: one for one in document["meta"]["markerSchema"]}
    assert set(schemas) == {"syscalls", "offcpu"}
    for thread in document["threads"]:
        assert isinstance(thread["pid"], str)
        samples, markers = thread["samples"], thread["markers"]
        check(document["shared"], samples["stack"], "stackTable?", samples["length"])
        assert samples["time"] == sorted(samples["time"])
        assert len(samples["weight"]) == len(samples["time"]) == samples["length"]
        check(document["shared"], markers["name"], "stringArray", markers["length"])
        assert set(markers["phase"]) <= {1}
        for begin, end in zip(markers["startTime"], markers["endTime"], strict=True):
            assert 0 <= begin <= end
        for data in markers["data"]:
            keys = {field["key"] for field in schemas[data["type"]]["fields"]}
            assert set(data) == {"type", *keys}
    processes = Counter(t["pid"] for t in document["threads"] if t["isMainThread"])
    assert set(processes.values()) == {1}


def sums(document):
    """Return self and total of each function's name."""
    shared = document["shared"]
    frame, prefix = shared["stackTable"]["frame"], shared["stackTable"]["prefix"]
    name = [shared["stringArray"][at] for at in shared["funcTable"]["name"]]
    of_frame = [name[at] for at in shared["frameTable"]["func"]]
    own, total = Counter(), Counter()
    for thread in document["threads"]:
        samples = thread["samples"]
        for leaf, weight in zip(samples["stack"], samples["weight"], strict=True):
            if leaf is not None:
                own[of_frame[frame[leaf]]] += weight
            seen, node = set(), leaf
            while node is not None:
                seen.add(of_frame[frame[node]])
                node = prefix[node]
            total.update(dict.fromkeys(seen, weight))
    return own, total


@pytest.mark.parametrize(
    ("kind", "weight", "scale"), [("cpu", "samples", 1), ("offcpu", "tracing-ms", 1e6)]
)
@pytest.mark.parametrize("pids", [None, [1000, 2000]], ids=["all", "some"])
def test_weights_are_those_of_the_hot_spots(rec, kind, weight, scale, pids, tmp_path):
    part = rec.where(pid=pids) if pids else rec
    document = written(part, tmp_path / "out", kind)
    own, total = sums(document)
    spots = part.hotspots(kind).functions
    for name, self_, total_ in spots.select("name", "self", "total").iter_rows():
        assert own[name] * scale == pytest.approx(self_)
        assert total[name] * scale == pytest.approx(total_)
    assert sum(own.values()) * scale == pytest.approx(spots["self"].sum())
    assert {t["samples"]["weightType"] for t in document["threads"]} == {weight}


def test_markers_are_the_calls(rec, document):
    texts = document["shared"]["stringArray"]
    found = []
    for thread in document["threads"]:
        markers = thread["markers"]
        for name, begin, end, data in zip(
            *(markers[k] for k in ("name", "startTime", "endTime", "data")), strict=True
        ):
            if data["type"] == "syscalls":
                times = round(begin * 1e6), round((end - begin) * 1e6)
                found.append((thread["tid"], *times, texts[name], data["ret"], data["errno"]))
    rows = rec["syscalls"].polars()
    start = rec.manifest.start_ns
    columns = (rows["tid"], (rows["ts"].to_physical() - start), rows["latency"].to_physical(),
               rows["name"].cast(str), rows["ret"], rows["errno"])  # fmt: skip
    wanted = sorted(zip(*(c.to_list() for c in columns), strict=True), key=str)
    for mine, one in zip(sorted(found, key=str), wanted, strict=True):
        # Times are milliseconds in 64-bit floats: exact to a nanosecond.
        assert mine[0] == one[0]
        assert mine[1:3] == pytest.approx(one[1:3], abs=1)
        assert mine[3:] == one[3:]


def test_without_stacks_there_are_markers_only(rec, tmp_path):
    document = written(rec, tmp_path / "out", "syscalls")
    assert sum(t["markers"]["length"] for t in document["threads"]) == 700
    assert sum(t["samples"]["length"] for t in document["threads"]) == 0


def test_is_deterministic(rec, tmp_path):
    written(rec, tmp_path / "a")
    written(rec, tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_tables_of_other_things(rec, tmp_path):
    with pytest.raises(ExportError, match="neither stacks nor spans"):
        export(rec, "firefox", tmp_path / "out", table="processes")
    with pytest.raises(MissingTableError):
        export(rec, "firefox", tmp_path / "out", table="tcp")


def test_the_firefox_profiler_opens_it(rec, tmp_path):
    export(rec, "firefox", tmp_path / "a.json")
    with importers.firefox_profiler(tmp_path / "a.json") as ask:
        threads = ask("thread", "list")["threads"]
        handles = {thread["tid"]: thread["threadHandle"] for thread in threads}
        assert {int(tid) for tid in handles} == set(synthetic.THREADS)
        handle = next(one for tid, one in handles.items() if int(tid) == 2000)
        functions = ask("thread", "functions", "--thread", handle)["functions"]
        markers = ask("thread", "markers", "--thread", handle)
    part = rec.where(tid=2000)
    spots = part.hotspots("cpu").functions
    for name, self_, total in spots.select("name", "self", "total").iter_rows():
        one = next(f for f in functions if f["name"] == name)
        assert (one["selfSamples"], one["totalSamples"]) == (self_, total)
    assert len(functions) == len(spots)
    assert markers["totalMarkerCount"] == part["syscalls"].num_rows + part["offcpu"].num_rows
