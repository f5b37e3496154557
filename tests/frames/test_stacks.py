import numpy as np
import pytest
from fake_recording import FakeRecording, stacks_of
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import ParameterError
from workbench.frames.stacks import stack_table

NAME = st.sampled_from(["main", "work", "read", "vfs_read"])
PATH = st.lists(st.tuples(NAME, st.sampled_from(["a", "b"]), st.just("native")), max_size=5)
SAMPLES = st.lists(st.tuples(st.sampled_from(["x", "y"]), PATH, st.integers(1, 9)), min_size=1)


def paths(table):
    """Weight of each path of names and modules."""
    found = {}
    for i, weight in enumerate(table.weight):
        steps = table.path[table.offsets[i] : table.offsets[i + 1]]
        key = tuple((table.labels.names[s], table.labels.modules[s]) for s in steps)
        found[key] = found.get(key, 0) + int(weight)
    return found


@settings(deadline=None, max_examples=60)
@given(SAMPLES)
def test_sums_equal_the_samples(samples):
    wanted = {}
    for comm, path, weight in samples:
        key = ((comm, ""), *((name, module) for name, module, _ in path))
        wanted[key] = wanted.get(key, 0) + weight
    assert paths(stack_table(stacks_of(samples), "cpu", ("comm",))) == wanted


def test_what_is_not_there_has_a_name_and_loses_no_weight():
    rec = FakeRecording(
        cpu=[{"stack_id": 1, "weight": 2}, {"stack_id": 9, "weight": 3}],
        stacks=[{"stack_id": 1, "frame_ids": [5]}],
        frames=[],
    )
    table = stack_table(rec, "cpu", ())
    assert paths(table) == {(("[unknown]", ""),): 2, (("[no stack]", ""),): 3}
    assert table.weight.dtype == np.int64


def test_only_known_groups():
    with pytest.raises(ParameterError, match="stack_id"):
        stack_table(stacks_of([("x", [], 1)]), "cpu", ("comm", "stack_id"))


@settings(deadline=None, max_examples=60)
@given(SAMPLES, NAME, st.sampled_from(["a", ""]))
def test_stacks_that_begin_with_a_function(samples, name, module):
    wanted = {}
    for comm, path, weight in samples:
        at = [i for i, (n, m, _) in enumerate(path) if n == name and module in ("", m)]
        cut = path[at[0] :] if at else path
        key = ((comm, ""), *((n, m) for n, m, _ in cut))
        wanted[key] = wanted.get(key, 0) + weight
    start = (name, module) if module else name
    assert paths(stack_table(stacks_of(samples), "cpu", ("comm",), start=start)) == wanted
