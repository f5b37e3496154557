"""Profiles of long sessions: memory goes by the stacks and labels, not by the samples."""

from __future__ import annotations

import pytest
from resident import most_bytes

from benches.pprof import recording

SAMPLES = 1 << 20
STACKS = 500

# A first export loads the libraries and starts their threads.
BEFORE = """\
from workbench.formats import export
from workbench.recording import Recording
path, name, output = sys.argv[1:]
rec = Recording.open(path)
export(rec.where(pid=0), name, output)
"""

BEFORES = {
    "pprof": BEFORE,
    "folded": BEFORE,
    "speedscope": BEFORE.replace("where(pid=0)", "window(0.0, 0.001)"),  # it has no empty files
}


@pytest.fixture(scope="module")
def sessions(tmp_path_factory):
    """A session, and one with four times as many samples of the same stacks."""
    folders = [tmp_path_factory.mktemp(name) for name in ("once", "four-times")]
    return [
        recording(folder, SAMPLES * times, STACKS)
        for folder, times in zip(folders, (1, 4), strict=True)
    ]


@pytest.mark.parametrize("name", ["pprof", "folded", "speedscope"])
def test_memory_does_not_go_by_the_samples(sessions, name, tmp_path, monkeypatch):
    # What polars does by itself, or is told to do by its users, is not what this relies on.
    monkeypatch.setenv("POLARS_ENGINE_AFFINITY", "in-memory")
    once, more = (
        most_bytes(BEFORES[name], "export(rec, name, output)", path, name, tmp_path / "out")
        for path in sessions
    )
    # To hold all samples takes at least 75 (folded) and 150 (pprof) bytes for each. What is read
    # ahead, eight slices at most, is all of the longer session: 32 bytes for each if it is slow.
    assert more - once < 3 * SAMPLES * 64
