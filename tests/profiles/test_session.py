from __future__ import annotations

import numpy as np
import pytest

from workbench.errors import ImportFormatError
from workbench.profiles.interning import Stacks
from workbench.profiles.profile import Profile, Samples, Value
from workbench.profiles.session import session_of


def profile(*names, **options):
    stacks = Stacks()
    stacks.stack([stacks.frame("main")])
    ids, one = np.zeros(1, np.uint32), np.ones(1, np.int64)
    samples = tuple(Samples(ids, (Value(name, "count", one),)) for name in names)
    return Profile(stacks.frames_table(), stacks.stacks_table(), samples, **options)


def made(one):
    return session_of(one, format="x", source="a.x", modified_ns=77)


def test_tables_are_told_apart():
    manifest, tables = made(profile("cpu", "on_cpu", "wall"))
    assert list(tables) == ["cpu", "cpu_2", "wall", "frames", "stacks"]
    assert list(manifest.kinds) == ["cpu", "cpu_2", "wall"]
    assert manifest.kinds["wall"]["imported"] == "x"
    assert manifest.kinds["wall"]["weight"] == "wall"


def test_time_is_that_of_the_profile_or_of_the_file():
    manifest, _ = made(profile("a", start_ns=1000, duration_ns=500))
    assert (manifest.start_ns, manifest.stop_ns) == (1000, 1500)
    assert manifest.target["imported"]["time_known"] is True
    for unknown in (None, 0, -5, 1 << 63):
        manifest, _ = made(profile("a", start_ns=unknown))
        assert (manifest.start_ns, manifest.stop_ns) == (77, 77)
        assert manifest.target["imported"]["time_known"] is False


def test_what_a_session_cannot_hold(monkeypatch):
    deep = {}
    for _ in range(30):
        deep = {"a": deep}
    with pytest.raises(ImportFormatError, match="deeper than"):
        made(profile("a", facts=deep))
    monkeypatch.setattr("workbench.profiles.tables.MAX_TABLES", 2)
    with pytest.raises(ImportFormatError, match="more than 2 kinds"):
        made(profile("a", "b", "c"))


def test_problems_are_kept():
    manifest, _ = made(profile("a", facts={"comments": ["hi"]}, problems=("odd",)))
    assert manifest.problems == ("odd",)
    assert manifest.target["imported"]["comments"] == ["hi"]
