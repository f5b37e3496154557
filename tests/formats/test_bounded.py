"""Exports of long sessions: memory goes by the stacks and labels, not by the samples."""

from __future__ import annotations

import pytest
from resident import most_bytes

from benches.pprof import recording

STACKS = 500

# A first export loads the libraries and starts their threads. Then comes a session, and only what
# one with more samples of the same stacks takes beyond that is counted.
BEFORE = """\
from workbench.formats import export
from workbench.recording import Recording
once, more, name, table, output = sys.argv[1:]
def write(part):
    export(part, name, output, table=table or None)
rec = Recording.open(once)
write(rec.window(0.0, 0.001))
done, top = threading.Event(), 0
watching = threading.Thread(target=watch)
watching.start()
write(rec)
first = max(top, resident())
done.set()
watching.join()
"""
WORK = """\
base = max(base, first)
write(Recording.open(more))
"""


@pytest.fixture(scope="module")
def sessions(tmp_path_factory):
    """Sessions by their number of samples."""
    return {
        samples: recording(tmp_path_factory.mktemp(f"of-{samples}"), samples, STACKS)
        for samples in (1 << 19, 1 << 21, 1 << 22)
    }


# Tables are read in row groups of half a million, pprof sums a million rows at once: each session
# has more. To hold all samples takes at least 30 (arrow), 75 (folded) and 150 (pprof) bytes each.
@pytest.mark.parametrize(
    ("name", "table", "samples", "times", "each"),
    [
        ("pprof", "", 1 << 21, 2, 64),
        ("folded", "", 1 << 21, 2, 64),
        ("arrow", "", 1 << 21, 2, 24),
        ("parquet", "", 1 << 19, 4, 64),
        ("csv", "", 1 << 19, 4, 64),
        ("chrome", "", 1 << 19, 4, 64),
        ("speedscope", "", 1 << 19, 4, 64),
        ("firefox", "", 1 << 19, 4, 64),
        ("perfetto", "", 1 << 19, 4, 64),
        ("otlp-json", "profiles", 1 << 19, 4, 64),
    ],
)
def test_memory_does_not_go_by_the_samples(
    sessions, name, table, samples, times, each, tmp_path, monkeypatch
):
    # What polars does by itself, or is told to do by its users, is not what this relies on.
    monkeypatch.setenv("POLARS_ENGINE_AFFINITY", "in-memory")
    paths = sessions[samples], sessions[samples * times]
    grown = most_bytes(BEFORE, WORK, *paths, name, table, tmp_path / "out")
    assert grown < samples * (times - 1) * each, f"{grown >> 20} MiB"
