"""Questions and answers in any order."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from workbench.formats.otlp.traces.pairs import Pairs


def keys_of(numbers):
    return np.array(numbers, np.uint64)


@given(st.permutations(range(12)), st.integers(0, 6), st.sets(st.integers(0, 5)))
def test_what_is_left(order, size, answered):
    """Numbers below 6 are questions, 6 + n is the answer of n."""
    pairs = Pairs()
    for at in range(0, 12, size + 1):
        part = order[at : at + size + 1]
        asked = [n for n in part if n < 6]
        pairs.asked(pa.record_batch({"n": asked}), keys_of(asked))
        pairs.answered(keys_of([n - 6 for n in part if n >= 6 and n - 6 in answered]))
    left = list(pairs.unanswered())
    assert sorted(int(k) for _, keys in left for k in keys) == sorted(set(range(6)) - answered)
    for rows, keys in left:
        assert rows.column("n").to_pylist() == keys.tolist()


def test_an_answer_counts_once():
    pairs = Pairs()
    pairs.answered(keys_of([7]))
    for _ in range(2):  # the same key twice: the second question has no answer
        pairs.asked(pa.record_batch({"n": [7]}), keys_of([7]))
    assert [keys.tolist() for _, keys in pairs.unanswered()] == [[7]]
