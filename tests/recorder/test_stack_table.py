"""Numbers of stacks: equal lists of frames have equal ones."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from workbench.recorder.stack_table import StackTable
from workbench.schema import STACKS, arrow_schema

STACK = st.lists(st.integers(0, 5) | st.integers(0, 2**32 - 1), max_size=12)
BATCHES = st.lists(st.lists(STACK, max_size=15), max_size=5)


def number(table, stacks):
    frames = np.array([f for stack in stacks for f in stack], np.uint32)
    return table.ids(frames, np.array([len(s) for s in stacks], np.int64)).tolist()


@given(BATCHES)
def test_equal_lists_have_equal_ids_and_different_lists_different_ones(batches):
    table, known, written = StackTable(), {}, {}
    for stacks in batches:
        for stack, given_id in zip(stacks, number(table, stacks), strict=True):
            assert known.setdefault(tuple(stack), given_id) == given_id
        taken = table.take()
        if taken is not None:
            assert taken.schema == arrow_schema(STACKS)
            taken.validate(full=True)
            for row in taken.to_pylist():
                assert written.setdefault(row["stack_id"], tuple(row["frame_ids"])) is not None
        # What a sample names is written by now, once, and complete.
        assert {v: k for k, v in known.items()} == written
    assert len(set(known.values())) == len(known)
    assert sorted(written) == list(range(len(known)))
    assert table.take() is None


@given(st.lists(st.integers(0, 3), min_size=1, max_size=200), st.integers(0, 10**6), st.data())
def test_one_frame_makes_a_difference(stack, extra, draw):
    at = draw.draw(st.integers(0, len(stack) - 1))
    changed = [*stack[:at], stack[at] + 4 + extra, *stack[at + 1 :]]
    ids = number(StackTable(), [stack, changed, stack[::-1], [*stack, 0], [0, *stack], stack])
    assert ids[0] == ids[5] != ids[1]
    assert (ids[2] == ids[0]) is (stack[::-1] == stack)
    assert len({ids[0], ids[3]}) == 2
    assert (ids[3] == ids[4]) is ([*stack, 0] == [0, *stack])


def test_many_deep_stacks_are_told_apart():
    rng = np.random.default_rng(3)
    stacks = rng.integers(0, 50, (20_000, 254)).astype(np.uint32)
    ids = StackTable().ids(stacks.reshape(-1), np.full(20_000, 254))
    assert len(set(ids.tolist())) == 20_000
