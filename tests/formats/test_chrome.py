"""Chrome traces: every span once, and the Firefox Profiler, which imports them, too."""

from __future__ import annotations

import json
import re
from collections import Counter

import importers
import pytest
import reading
import span_session
import synthetic

from workbench.errors import ExportError
from workbench.formats import export
from workbench.session import open_session


@pytest.fixture(scope="module")
def rec(tmp_path_factory):
    path = tmp_path_factory.mktemp("chrome") / "a.wb"
    return open_session(synthetic.make_session(path, kinds=("syscalls", "cpu", "offcpu"), rows=700))


def written(rec, path, table=None):
    export(rec, "chrome", path, table=table)
    return json.loads(path.read_bytes())


def by_phase(document):
    found = {}
    for event in document["traceEvents"]:
        found.setdefault(event["ph"], []).append(event)
    return found


@pytest.mark.parametrize("tids", [None, [1001, 2000]], ids=["all", "some"])
def test_spans_are_the_calls(rec, tids, tmp_path):
    part = rec.where(tid=tids) if tids else rec
    events = by_phase(written(part, tmp_path / "out"))
    found = Counter(
        (e["tid"], round(e["ts"] * 1000), round(e["dur"] * 1000), e["name"], e["args"]["ret"],
         e["args"]["errno"]) for e in events["X"] if e["cat"] == "syscalls"
    )  # fmt: skip
    rows = part["syscalls"].polars()
    columns = (rows["tid"], rows["ts"].to_physical() - rec.manifest.start_ns,
               rows["latency"].to_physical(), rows["name"].cast(str), rows["ret"],
               rows["errno"])  # fmt: skip
    assert found == Counter(zip(*(c.to_list() for c in columns), strict=True))
    off = part["offcpu"].polars()
    times = off["blocked"].to_physical() + off["runnable"].to_physical()
    blocked = [e for e in events["X"] if e["cat"] == "offcpu"]
    assert sorted(round(e["dur"] * 1000) for e in blocked) == sorted(times)
    assert {e["name"] for e in blocked} == {f"off-CPU: {s}" for s in off["state"].cast(str)}


def test_threads_have_names_and_counters_count(rec, tmp_path):
    events = by_phase(written(rec, tmp_path / "out"))
    names = {(e["name"], e["pid"], e["tid"]): e["args"]["name"] for e in events["M"]}
    assert names["thread_name", 1000, 1001] == "worker-0"
    assert names["process_name", 1000, 0] == "bash"
    for table in ("syscalls", "cpu", "offcpu"):
        mine = [e for e in events["C"] if e["name"] == f"{table}/s"]
        assert len(mine) == 500
        width = (mine[1]["ts"] - mine[0]["ts"]) / 1e6
        total = sum(e["args"]["value"] for e in mine) * width
        assert total == pytest.approx(rec[table].polars()["weight"].sum())


def test_times_have_three_decimals(rec, tmp_path):
    export(rec, "chrome", tmp_path / "out", table="syscalls")
    times = re.findall(r'"(?:ts|dur)":([0-9.]+)', (tmp_path / "out").read_text())
    spans = [time for time in times if "." in time]
    assert max(len(time.partition(".")[2]) for time in spans) == 3


def test_what_overlaps_is_asynchronous(tmp_path):
    rec = open_session(span_session.make_session(tmp_path / "a.wb"))
    events = by_phase(written(rec, tmp_path / "out"))
    begins = {e["id"]: e for e in events["b"]}
    ends = {e["id"]: e for e in events["e"]}
    assert begins.keys() == ends.keys()
    assert "X" not in events
    found = sorted(
        (one["name"], one["ts"] / 1000, (ends[key]["ts"] - one["ts"]) / 1000)
        for key, one in begins.items()
    )
    assert found == span_session.SPANS


def test_one_table_and_side_tables(rec, tmp_path):
    events = by_phase(written(rec, tmp_path / "out", "offcpu"))
    assert {e["cat"] for e in events["X"]} == {"offcpu"}
    with pytest.raises(ExportError, match="events"):
        export(rec, "chrome", tmp_path / "out", table="frames")


def test_is_deterministic(rec, tmp_path):
    written(rec, tmp_path / "a")
    written(rec, tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_firefox_profiler_opens_it(rec, tmp_path):
    export(rec, "chrome", tmp_path / "a.json")
    with importers.firefox_profiler(tmp_path / "a.json") as ask:
        threads = ask("thread", "list")["threads"]
        assert "worker-0" in {thread["name"] for thread in threads}
        handle = next(t["threadHandle"] for t in threads if t["name"] == "worker-0")
        markers = ask("thread", "markers", "--thread", handle)
    part = rec.where(tid=1001)
    assert markers["totalMarkerCount"] >= part["syscalls"].num_rows + part["offcpu"].num_rows


def test_profiles_without_spans_are_told_which_formats_hold_them(tmp_path):
    made = reading.session(b"main;work 5\n", tmp_path / "a.wb")
    with pytest.raises(ExportError, match=r"no spans[\s\S]*speedscope"):
        export(made, "chrome", tmp_path / "out")
    assert not (tmp_path / "out").exists()
