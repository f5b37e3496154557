"""Go's other reports say what the session says: by thread, kind, line and file, and parts of it."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import go_pprof
import polars as pl
import pytest

import workbench as wb
from workbench.frames.stacks import PROBE

pytestmark = go_pprof.needs_go
DATASET = Path(__file__).parents[3] / "datasets" / "slow-api.wb"
ALL = ("-nodecount=1000000", "-nodefraction=0", "-edgefraction=0", "-sample_index=samples")


@pytest.fixture(scope="module")
def profile(tmp_path_factory):
    session = wb.open(DATASET)
    return session.export("pprof", tmp_path_factory.mktemp("reports") / "a.pb.gz")


@pytest.fixture(scope="module")
def leaves():
    """Each sample with the frame that it was in, and its weight."""
    session = wb.open(DATASET)
    frames = session["frames"].polars().unique("frame_id", keep="last")
    frames = frames.with_columns(pl.col("kind").cast(str).replace("inlined", "native"))
    # Below the code that was sampled may lie the probe: it is left out, as of every view.
    probe = pl.col("function").str.contains(f"^({'|'.join(PROBE)})") & (pl.col("kind") == "kernel")
    stacks = session["stacks"].polars().explode("frame_ids").rename({"frame_ids": "frame_id"})
    stacks = stacks.join(frames, on="frame_id", maintain_order="left").filter(~probe)
    stacks = stacks.unique("stack_id", keep="first", maintain_order=True)
    rows = session["cpu"].polars().with_columns(pl.col("weight").cast(pl.Int64))
    return rows.join(stacks, on="stack_id", how="left")


def sums(rows, key):
    return dict(rows.group_by(pl.col(key).cast(str)).agg(pl.col("weight").sum()).iter_rows())


def tags(profile):
    """Return the sums of every label's values."""
    found: dict[str, dict[str, int]] = {}
    for line in go_pprof.pprof(profile, "-tags", "-sample_index=samples").splitlines():
        if head := re.fullmatch(r" *(\w+): Total .*", line):
            values = found.setdefault(head[1], {})
        elif row := re.fullmatch(r" *([\d.]+) \([\d. %]+\): (.*)", line):
            values[row[2]] = int(float(row[1]))
    return found


def own(profile, *options):
    """Return the column ``flat`` of a report by what stands behind the numbers."""
    found: Counter[str] = Counter()
    for line in go_pprof.pprof(profile, "-top", *ALL, *options).splitlines():
        if row := re.fullmatch(r" *(\d+) +\S+ +\S+ +\d+ +\S+ +(.*)", line):
            found[row[2].removesuffix(" (inline)").removesuffix(" (partial-inline)")] += int(row[1])
    return +found


def test_labels(profile, leaves):
    found = tags(profile)
    assert found["thread"] == sums(leaves, "comm")
    assert found["kind"] == sums(leaves, "kind")
    assert found["tid"] == sums(leaves, "tid")


@pytest.mark.parametrize(
    ("option", "chosen"),
    [
        ("-tagfocus=kind=kernel", pl.col("kind") == "kernel"),
        ("-tagignore=kind=kernel", pl.col("kind") != "kernel"),
        ("-tagfocus=thread=worker-[01]", pl.col("comm").cast(str).str.contains("worker-[01]")),
        ("-tagfocus=tid=27792:27793", pl.col("tid").is_between(27_792, 27_793)),
    ],
)
def test_parts(profile, leaves, option, chosen):
    part = leaves.filter(chosen)
    assert 0 < len(part) < len(leaves)
    assert own(profile, option) == sums(part, "function")


def test_lines_and_files(profile, leaves):
    place = pl.when(pl.col("line").is_not_null()).then(
        pl.format("{} {}:{}", "function", "file", "line")
    )
    named = leaves.with_columns(place.alias("place")).drop_nulls("place")
    found = own(profile, "-lines")
    assert {name: n for name, n in found.items() if re.search(r":\d+$", name)} == sums(
        named, "place"
    )
    by_file = sums(leaves.drop_nulls("file"), "file")
    found = own(profile, "-files")
    assert {name: found[name] for name in by_file} == by_file


def test_traces_are_whole_stacks(profile, leaves):
    said = go_pprof.pprof(profile, "-traces", "-sample_index=samples")
    assert sum(map(int, re.findall(r"(?m)^ +(\d+)   \S", said))) == leaves["weight"].sum()
