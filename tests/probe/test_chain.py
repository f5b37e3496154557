"""Following headers: the vectorised chain equals the obvious loop."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from workbench.probe.chain import equal_stride, follow


def loop(candidates, following, end):
    """What follow() does, one by one."""
    where = {int(c): i for i, c in enumerate(candidates)}
    chain, at = [], int(candidates[0])
    while at in where:
        chain.append(where[at])
        at = int(following[where[at]])
    return chain, at == end


@given(st.lists(st.integers(1, 12), min_size=1, max_size=60), st.sets(st.integers(0, 400)))
def test_equals_the_loop_with_false_candidates(sizes, noise):
    starts = np.concatenate([[0], np.cumsum(sizes)])
    end = int(starts[-1])
    false = {n for n in noise if n < end} - set(starts.tolist())
    candidates = np.array(sorted({*starts[:-1].tolist(), *false}), np.int64)
    real = dict(zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True))
    following = np.array([real.get(int(c), int(c) + 3) for c in candidates], np.int64)
    chain, complete = follow(candidates, following, end)
    assert (chain.tolist(), complete) == loop(candidates, following, end)
    assert complete
    assert candidates[chain].tolist() == starts[:-1].tolist()


def test_broken_chain_is_not_complete():
    chain, complete = follow(np.array([0, 4, 9]), np.array([4, 8, 12]), 12)
    assert chain.tolist() == [0, 1]
    assert not complete


def test_nothing():
    assert follow(np.empty(0, np.int64), np.empty(0, np.int64), 0)[1]
    assert not follow(np.empty(0, np.int64), np.empty(0, np.int64), 4)[1]


def test_equal_stride_stops_at_the_first_other_header():
    words = np.zeros(40, np.uint32)
    words[::4] = 7
    assert equal_stride(words, 4) == 10
    words[12] = 8
    assert equal_stride(words, 4) == 3
