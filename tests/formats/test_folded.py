from __future__ import annotations

import pytest
import synthetic

from workbench.errors import MissingTableError
from workbench.formats import export
from workbench.recording import Recording

TRUTH = synthetic.truth(rows=700)


@pytest.fixture(scope="module")
def rec(tmp_path_factory):
    path = tmp_path_factory.mktemp("folded") / "a.wb"
    return Recording.open(synthetic.make_session(path, rows=700))


def test_stacks_are_the_truth(rec, tmp_path):
    export(rec, "folded", tmp_path / "out")
    lines = (tmp_path / "out").read_text().splitlines()
    found = {key: int(weight) for key, _, weight in (line.rpartition(" ") for line in lines)}
    expected = {}
    for key, weight in TRUTH.folded().items():
        name = key if not key.startswith(";") else "[no name]" + key
        expected[name] = expected.get(name, 0) + weight
    assert found == expected
    assert sum(found.values()) == TRUTH.columns["cpu"]["weight"].sum()


def test_without_samples_there_are_no_stacks(tmp_path):
    rec = Recording.open(synthetic.make_session(tmp_path / "a", kinds=("syscalls",), rows=10))
    with pytest.raises(MissingTableError, match="cpu"):
        export(rec, "folded", tmp_path / "out")
    assert not (tmp_path / "out").exists()
