"""Damaged and hostile sessions: an error of ours or correct data, never a crash or a hang."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import synthetic

from workbench.store import convert

SESSIONS = int(os.environ.get("WORKBENCH_FUZZ", "1200"))
CHILDREN = 2
CHILD = Path(__file__).with_name("fuzz_child.py")


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    """Sessions of every form, 300 rows per table."""
    place = tmp_path_factory.mktemp("bases")
    kinds = ("syscalls", "cpu", "syscalls_agg")
    synthetic.make_session(place / "saved.wb", kinds=kinds, rows=300)
    synthetic.make_session(place / "finished", kinds=kinds, rows=300, saved=False)
    writer = synthetic.write_streams(place / "streams", kinds=kinds, rows=300, batch_rows=50)
    writer.close()
    (place / "streams" / "recorder.pid").unlink()
    with pytest.MonkeyPatch.context() as patch:  # damage of pages reaches the decoders
        options = convert._options
        patch.setattr(convert, "_options", lambda s: options(s) | {"write_page_checksum": False})
        synthetic.make_session(place / "unchecked.wb", kinds=kinds, rows=300)
    return place


@pytest.mark.timeout(300)
def test_damaged_sessions_are_errors_or_correct(bases, tmp_path):
    outcomes = run_children(bases, tmp_path)
    bad = {seed: text for seed, text in outcomes.items() if text.startswith("BAD")}
    assert not bad
    assert sorted(outcomes) == list(range(SESSIONS))
    counts = Counter(outcomes.values())
    # The mutations do reach what they aim at, and do not only make trivially broken files.
    assert counts["refused"] > SESSIONS // 3
    assert counts["same"] > SESSIONS // 50
    assert counts["prefix"] > SESSIONS // 200
    assert counts["other"] > SESSIONS // 50


def run_children(bases, tmp_path):
    """Return the outcome of every seed; a child that dies names the seed it died of."""
    children = []
    for index in range(CHILDREN):
        work = tmp_path / str(index)
        work.mkdir()
        arguments = [str(bases), str(index), str(SESSIONS), str(CHILDREN), str(work)]
        command = [sys.executable, str(CHILD), *arguments]
        children.append(
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        )
    outcomes = {}
    for child in children:
        try:
            out, err = child.communicate(timeout=240)
        finally:
            child.kill()
        for line in out.splitlines():
            seed, _, text = line.partition(" ")
            outcomes[int(seed)] = text or f"BAD killed the process: {err[-500:]}"
        assert child.returncode == 0, f"{outcomes} {err[-2000:]}"[-3000:]
    return outcomes
