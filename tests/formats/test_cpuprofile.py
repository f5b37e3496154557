"""CPU profiles of V8: what node writes, and what speedscope makes of it."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from collections import Counter

import importers
import polars as pl
import pytest
import reading

from workbench.errors import ImportFormatError
from workbench.formats.cpuprofile import read

SCRIPT = """
function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
function grow() { const all = []; for (let i = 0; i < 300000; i++) all.push({i}); return all; }
function work() { for (let i = 0; i < 5; i++) fib(28) + grow().length; }
work();
setTimeout(work, 20);
"""


def call(name, url="", line=-1):
    return {"functionName": name, "scriptId": "0", "url": url, "lineNumber": line}


def small():
    return {
        "nodes": [
            {"id": 1, "callFrame": call("(root)"), "children": [2, 3, 5, 6]},
            {"id": 2, "callFrame": call("(idle)")},
            {"id": 3, "callFrame": call("main", "file:///a b.js", 0), "children": [4]},
            {"id": 4, "callFrame": call("", "node:fs", 9)},
            {"id": 5, "callFrame": call("(garbage collector)")},
            {"id": 6, "callFrame": call("(program)")},
        ],
        "startTime": 1_000,
        "endTime": 1_100,
        "samples": [5, 3, 4, 5, 5, 2, 6],
        "timeDeltas": [10, 20, 5, 5, 5, 5, 30],
    }


def session(document, tmp_path):
    return reading.session(json.dumps(document).encode(), tmp_path / "a.wb")


def test_a_sample_lasts_until_the_next_one(tmp_path):
    content = json.dumps(small()).encode()
    assert reading.recognised_as(content) == "cpuprofile"
    rec = session(small(), tmp_path)
    rows = rec["cpu"].polars()
    assert (rows["wall"].cast(pl.Int64) // 1000).to_list() == [20, 5, 5, 5, 5, 30, 20]
    assert (rows["cpu_microseconds"].cast(pl.Int64) // 1000).to_list() == [20, 5, 5, 5, 5, 0, 20]
    assert rows["ts"].cast(pl.Int64).to_list()[:2] == [1_010_000, 1_030_000]
    assert reading.folded(rec, "cpu") == {
        "(garbage collector)": 20_000,  # before it was nothing
        "main": 5_000,
        "main;(anonymous)": 5_000,
        "main;(anonymous);(garbage collector)": 10_000,
        "(program)": 20_000,
    }
    frames = rec["frames"].polars()
    told = frames.filter(pl.col("file").is_not_null()).select("function", "file", "line").rows()
    assert told == [("main", "/a b.js", 1), ("(anonymous)", "node:fs", 10)]
    assert rec.duration.total_seconds() == pytest.approx(90e-6)


def test_callers_may_be_named_by_those_they_call(tmp_path):
    other = small()
    for node in other["nodes"]:
        for child in node.pop("children", []):
            other["nodes"][child - 1]["parent"] = node["id"]
    one, two = session(small(), tmp_path), session(other, tmp_path)
    assert reading.folded(one, "cpu") == reading.folded(two, "cpu")


def changed(**more):
    return small() | more


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ([], "no nodes"),
        ({"nodes": []}, "no nodes"),
        (changed(nodes=[{"id": 1}]), "A node is not whole"),
        (changed(nodes=small()["nodes"] * 2), "the same id"),
        (changed(samples=[9] * 7), "not there"),
        (changed(samples=[1]), "7 times for 1 samples"),
        (changed(samples=["x"] * 7), "no number"),
        (changed(timeDeltas=[-5_000] * 7, endTime=-1), "no times"),
        (changed(timeDeltas=[1e300] * 7), "no times"),
    ],
)
def test_refused(document, why):
    with pytest.raises(ImportFormatError, match=why):
        read(io.BytesIO(json.dumps(document).encode()))


def test_circles():
    document = small()
    document["nodes"][3]["children"] = [3]
    with pytest.raises(ImportFormatError, match="circle"):
        read(io.BytesIO(json.dumps(document).encode()))
    with pytest.raises(ImportFormatError, match="no JSON"):
        read(io.BytesIO(b"{"))


def test_damaged():
    words = [b'"id"', b"[]", b"{}", b"null", b"1e400", b"-1", b'"parent": 3']
    files = reading.mutated([json.dumps(small()).encode()], reading.CASES, words)
    good, bad = reading.fuzz(read, files)
    assert good
    assert bad


@pytest.fixture(scope="module")
def by_node(tmp_path_factory):
    if shutil.which("node") is None:
        pytest.skip("there is no node here (Debian: nodejs)")
    folder = tmp_path_factory.mktemp("node")
    (folder / "a.js").write_text(SCRIPT)
    command = ["node", "--cpu-prof", "--cpu-prof-name=a.cpuprofile", "a.js"]
    subprocess.run(command, cwd=folder, check=True, timeout=100, capture_output=True)
    return folder / "a.cpuprofile"


def test_what_node_writes(by_node, tmp_path):
    document = json.loads(by_node.read_bytes())
    rec = session(document, tmp_path)
    names = {node["id"]: node["callFrame"]["functionName"] for node in document["nodes"]}
    times = [document["startTime"]]
    for delta in document["timeDeltas"]:
        times.append(times[-1] + delta)
    times = [*times[1:], document["endTime"]]
    own: Counter[str] = Counter()
    for number, node in enumerate(document["samples"]):
        own[names[node] or "(anonymous)"] += max(0, times[number + 1] - times[number])
    found = {name: own for name, (own, _) in reading.self_and_total(rec, "cpu", "wall").items()}
    if all(delta >= 0 for delta in document["timeDeltas"]):
        assert {name: own for name, own in found.items() if own} == {
            name: 1000 * amount for name, amount in (+own).items()
        }
    assert found["fib"] > 0
    line = rec["frames"].polars().filter(pl.col("function") == "fib")["line"][0]
    assert line == 2


@pytest.mark.browser
def test_speedscope_makes_the_same_of_it(by_node, tmp_path):
    rec = session(json.loads(by_node.read_bytes()), tmp_path)
    with importers.speedscope(tmp_path) as opened:
        document = opened(by_node)
    frames = document["shared"]["frames"]
    (profile,) = document["profiles"]
    own: Counter[str] = Counter()
    open_: list[int] = []
    last = 0
    for event in profile["events"]:
        if open_:
            own[frames[open_[-1]]["name"]] += event["at"] - last
        last = event["at"]
        if event["type"] == "O":
            open_.append(event["frame"])
        else:
            assert open_.pop() == event["frame"]
    spots = reading.self_and_total(rec, "cpu", "wall")
    for name in ("fib", "grow", "(garbage collector)"):
        # In µs; what V8 wrote late it dates in a way of its own.
        assert own[name] * 1000 == pytest.approx(spots.get(name, (0, 0))[0], rel=0.05, abs=5e6)
    assert own["fib"] > 0
