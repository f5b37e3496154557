"""speedscope files: the schema, the figures, and speedscope itself."""

from __future__ import annotations

import json
from collections import Counter

import importers
import jsonschema
import pytest
import synthetic

from workbench.errors import MissingTableError
from workbench.formats import export
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
    for mine, found, kind in ((document, counted, "cpu"), (blocked, timed, "offcpu")):
        frames = found["shared"]["frames"]
        own = Counter()
        for profile in found["profiles"]:
            own += evented_self(profile, frames)
        assert own == expected(rec, kind)[0]
        assert [p["name"] for p in found["profiles"]] == [p["name"] for p in mine["profiles"]]
        assert [p["unit"] for p in found["profiles"]] == [p["unit"] for p in mine["profiles"]]


def test_nothing_selected_and_no_stacks(rec, tmp_path):
    with pytest.raises(MissingTableError, match="selected"):
        export(rec.where(pid=77), "speedscope", tmp_path / "out")
    with pytest.raises(MissingTableError, match="stack_id"):
        export(rec, "speedscope", tmp_path / "out", table="syscalls")
    assert not (tmp_path / "out").exists()
