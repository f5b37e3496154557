from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from fake_recording import FakeRecording, stacks_of
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import MissingTableError
from workbench.frames.folded import folded

NAMES = st.sampled_from(["main", "a;b", "line\nbreak", "é", "<script>"])
FRAMES = st.tuples(NAMES, st.just("/bin/x"), st.sampled_from(["native", "python"]))
SAMPLES = st.lists(
    st.tuples(
        st.sampled_from(["x", "y z"]), st.lists(FRAMES, max_size=5), st.integers(1, 2**32 - 1)
    ),
    max_size=20,
)


@given(SAMPLES)
@settings(deadline=None, max_examples=60)
def test_folded_equals_plain_reference(samples: list[Any]) -> None:
    expected: Counter[str] = Counter()
    for comm, frames, weight in samples:
        names = [comm, *(name.replace(";", ":").replace("\n", " ") for name, _, _ in frames)]
        expected[";".join(names)] += weight
    result = folded(stacks_of(samples))
    assert dict(result.rows()) == dict(expected)
    assert result["stack"].to_list() == sorted(expected)
    assert result.schema == {"stack": pl_string(), "weight": pl_u64()}


def pl_string() -> Any:
    import polars as pl

    return pl.String


def pl_u64() -> Any:
    import polars as pl

    return pl.UInt64


def test_without_groups_and_without_stack() -> None:
    rec = stacks_of([("x", [("main", "", "native")], 2), ("y", [], 3)])
    assert folded(rec, by=()).rows() == [("", 3), ("main", 2)]


def test_missing_table() -> None:
    with pytest.raises(MissingTableError, match="cpu"):
        folded(FakeRecording(syscalls=[]))


def test_real_session(tmp_path: Path) -> None:
    synthetic = pytest.importorskip("synthetic")
    from workbench.recording import Recording

    path = synthetic.make_session(tmp_path / "x.wb", rows=2000)
    with Recording.open(path) as rec:
        result = dict(folded(rec).rows())
    truth = synthetic.truth(rows=2000).folded()
    named = {key if not key.startswith(";") else f"[no name]{key}": n for key, n in truth.items()}
    assert result == named
