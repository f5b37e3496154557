"""The page cache: hits, misses and sums of known rows, from events and from sums."""

import pytest
from fake_recording import FakeRecording

from workbench.errors import MissingTableError, ParameterError
from workbench.frames import pagecache


def row(op, pages, path="/a", **more):
    return {"op": op, "pages": pages, "path": path, "pid": 1, "comm": "app", "index": 0, **more}


EVENTS = [
    row("lookup", 10, ts=1),
    row("add", 8, ts=1),
    row("lookup", 10, ts=5),
    row("add", 4, "/b", ts=6, pid=2, comm="log"),
    row("dirty", 4, "/b", ts=6, fresh=1, pid=2, comm="log"),
    row("dirty", 2, "/a", ts=7),
    row("write", 6, "/b", ts=8, pid=2, comm="log"),
    row("fault", 1, "/lib", ts=9),
    row("map", 16, "/lib", ts=9),
    row("add", 32, "/lib", ts=9),
    row("remove", 3, "/lib", ts=10),
]


@pytest.fixture
def rec():
    return FakeRecording(pagecache=EVENTS)


def test_by_file(rec):
    found = {r["path"]: r for r in pagecache.by_file(rec).to_dicts()}
    assert list(found) == ["/lib", "/a", "/b"]
    a = found["/a"]
    assert (a["looked_up"], a["hits"], a["misses"], a["hit_ratio"]) == (20, 12, 8, 0.6)
    assert (a["dirtied"], a["created"]) == (2, 0)
    b = found["/b"]
    assert (b["misses"], b["hit_ratio"], b["created"], b["written"]) == (0, None, 4, 6)
    lib = found["/lib"]
    assert (lib["faulted"], lib["mapped"], lib["misses"], lib["removed"]) == (1, 16, 32, 3)
    assert lib["hits"] == 0


def test_by_process(rec):
    found = pagecache.by_process(rec).select("pid", "comm", "added", "dirtied").rows()
    assert found == [(1, "app", 40, 2), (2, "log", 4, 4)]


def test_over_time(rec):
    slices = pagecache.over_time(rec, 2)
    assert slices["ts"].n_unique() == 2
    assert slices.filter(op="add")["pages"].sum() == 44


def test_places():
    rows = [row("add", 4, index=i, ts=i) for i in range(0, 100, 4)]
    cells = pagecache.places(FakeRecording(pagecache=rows), "/a", slices=1, parts=10)
    assert cells.select("first_page", "last_page", "pages").rows() == [
        (10 * n, 10 * n + 9, 12 if n % 2 == 0 else 8) for n in range(10)
    ]
    assert pagecache.places(FakeRecording(pagecache=rows), "/none").height == 0
    for wrong in ({"op": "think"}, {"parts": 0}, {"slices": 0}):
        with pytest.raises(ParameterError):
            pagecache.places(FakeRecording(pagecache=rows), "/a", **wrong)


def test_sums_of_the_kernel():
    last = {"ts": 2, "pid": 1, "comm": "app", "path_id": 1, "path": "/a", "looked_up": 9}
    other = last | {"path_id": 2, "looked_up": 1, "added": 4, "created": 1, "dirtied": 1}
    rec = FakeRecording(pagecache_agg=[last, last | {"ts": 1, "looked_up": 5}, other])
    found = pagecache.by_file(rec).row(0, named=True)
    assert (found["looked_up"], found["misses"], found["hits"]) == (10, 3, 7)
    assert pagecache.by_process(rec)["comm"].to_list() == ["app"]
    with pytest.raises(MissingTableError, match="'pagecache'"):
        pagecache.over_time(rec)


def test_empty_and_missing():
    assert pagecache.by_file(FakeRecording(pagecache=[])).height == 0
    with pytest.raises(MissingTableError, match="workbench record pagecache"):
        pagecache.by_file(FakeRecording(cpu=[]))
