from __future__ import annotations

import io
import json

import numpy as np
import polars as pl
import pytest

from workbench.formats._firefox_tables import CATEGORIES, MS, Shared, weight_type
from workbench.frames.samples import Samples

FRAMES = pl.DataFrame(
    {
        "name": ["main", "work", "work", "sys_read"],
        "module": ["/bin/a", "/bin/a", "/bin/a", "[kernel]"],
        "kind": ["native", "native", "native", "kernel"],
        "file": ["a.c", "a.c", "a.c", None],
        "line": pl.Series([7, 12, 13, None], dtype=pl.UInt32),
    }
)
# main; main, work (12); main, work (13), sys_read; leaf first
FLAT = np.array([0, 1, 0, 3, 2, 0])
OFFSETS = np.array([0, 1, 3, 6])


@pytest.fixture
def shared():
    found = Samples(lambda _: iter(()), FRAMES, FLAT, OFFSETS, "ns")
    return Shared(found, pl.Series(["read", "main"]))


def document(shared):
    file = io.BytesIO()
    shared.put(file)
    return json.loads(file.getvalue())


def test_stacks_share_what_they_begin_with(shared):
    tables = document(shared)
    stacks, frames = tables["stackTable"], tables["frameTable"]
    assert stacks["length"] == 4  # main, work (12), work (13), sys_read
    leaf = shared.sample_columns("ns", 0)["stack"](pl.DataFrame({"stack": [0, 1, 2]})).to_list()
    paths = []
    for start in leaf:
        at, path = start, []
        while at is not None:
            path.append(stacks["frame"][at])
            at = stacks["prefix"][at]
        paths.append(path)
    assert paths == [[0], [1, 0], [3, 2, 0]]
    assert frames["line"] == [7, 12, 13, None]
    order = list(CATEGORIES)
    assert [order[at] for at in frames["category"]] == ["Native", "Native", "Native", "Kernel"]


def test_functions_are_told_apart_without_their_lines(shared):
    tables = document(shared)
    functions, texts = tables["funcTable"], tables["stringArray"]
    names = [texts[at] for at in functions["name"]]
    assert names == ["main", "work", "sys_read"]
    assert tables["frameTable"]["func"] == [0, 1, 1, 2]
    libraries = [texts[at] for at in tables["resourceTable"]["name"]]
    assert [libraries[at] for at in functions["resource"]] == ["/bin/a", "/bin/a", "[kernel]"]
    files = [texts[at] for at in tables["sources"]["filename"]]
    assert [None if at is None else files[at] for at in functions["source"]] == [
        "a.c", "a.c", None,
    ]  # fmt: skip


def test_samples_are_in_milliseconds(shared):
    rows = pl.DataFrame({"ts": [5 * MS, 7 * MS + 1], "stack": [0, 2], "amount": [MS // 2, 3]})
    columns = shared.sample_columns("ns", 4 * MS)
    assert columns["time"](rows).to_list() == [1.0, 3.000001]
    assert columns["weight"](rows).to_list() == [0.5, 0.000003]
    assert shared.sample_columns("bytes", 0)["weight"](rows).to_list() == [MS // 2, 3]
    assert [weight_type(unit) for unit in ("ns", "bytes", "samples", "events")] == [
        "tracing-ms", "bytes", "samples", "samples",
    ]  # fmt: skip


def test_texts_have_numbers(shared):
    texts = document(shared)["stringArray"]
    assert texts == sorted(set(texts))
    numbers = shared.text_numbers(pl.Series(["read", None, "work"])).to_list()
    assert [None if at is None else texts[at] for at in numbers] == ["read", None, "work"]


def test_without_samples():
    tables = document(Shared(None, pl.Series(["a"])))
    assert tables["stringArray"] == ["a"]
    assert tables["stackTable"]["length"] == tables["frameTable"]["length"] == 0
