"""Exports of long sessions: memory goes by the stacks and labels, not by the samples."""

from __future__ import annotations

import pytest
from resident import most_bytes

from benches.pprof import recording

SAMPLES = 1 << 19  # a row group of the store
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
    """Sessions with more and more samples of the same stacks."""
    return [
        recording(tmp_path_factory.mktemp(f"times-{times}"), SAMPLES * times, STACKS)
        for times in (1, 4, 8)
    ]


# To hold all samples takes at least 30 (arrow), 75 (folded) and 150 (pprof) bytes for each.
@pytest.mark.parametrize(
    ("name", "table", "each"),
    [
        ("pprof", "", 64),
        ("folded", "", 64),
        ("arrow", "", 24),
        ("parquet", "", 64),
        ("csv", "", 64),
        ("chrome", "", 64),
        ("speedscope", "", 64),
        ("firefox", "", 64),
        ("perfetto", "", 64),
        ("otlp-json", "profiles", 64),
    ],
)
def test_memory_does_not_go_by_the_samples(sessions, name, table, each, tmp_path, monkeypatch):
    # What polars does by itself, or is told to do by its users, is not what this relies on.
    monkeypatch.setenv("POLARS_ENGINE_AFFINITY", "in-memory")
    # These sum a million rows and more at once: the shorter session has to have as many.
    longer = name in ("pprof", "folded")
    paths, times = (sessions[1:], 4) if longer else (sessions[:2], 3)
    grown = most_bytes(BEFORE, WORK, *paths, name, table, tmp_path / "out")
    assert grown < times * SAMPLES * each, f"{grown >> 20} MiB"
