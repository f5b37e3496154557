from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from workbench.formats.pprof.numbering import Strings, number_lists, ranges, ranked


@given(lists=st.lists(st.lists(st.sampled_from([0, 1, 2, 70_000, (1 << 32) - 1]), max_size=5)))
def test_equal_lists_have_equal_numbers(lists):
    flat = np.array([x for each in lists for x in each], np.int64)
    offsets = np.concatenate([[0], np.cumsum([len(each) for each in lists])]).astype(np.int64)
    numbers, first = number_lists(flat, offsets)
    seen: dict[tuple[int, ...], int] = {}
    expected = [seen.setdefault(tuple(each), len(seen)) for each in lists]
    assert numbers.tolist() == expected
    assert first.tolist() == [expected.index(number) for number in range(len(seen))]


@given(keys=st.lists(st.integers(0, 9)))
def test_keys_are_numbered_by_first_appearance(keys):
    number, first = ranked(np.array(keys, np.int32))
    seen = list(dict.fromkeys(keys))
    assert number.tolist() == [seen.index(key) for key in keys]
    assert first.tolist() == [keys.index(key) for key in seen]


def test_ranges():
    assert ranges(np.array([5, 1, 3]), np.array([7, 1, 6])).tolist() == [5, 6, 3, 4, 5]


def test_strings_are_numbered_by_first_appearance():
    strings = Strings()
    assert strings.of("b") == 1
    column = pa.chunked_array([["c", None, "b"], ["", "a", "c"]])
    assert strings.column(column).tolist() == [2, 0, 1, 0, 3, 2]
    encoded = pa.DictionaryArray.from_arrays(pa.array([1, 0], pa.int8()), ["z", "y"])
    assert strings.column(encoded).tolist() == [4, 5]
    assert strings.column(pa.array([], pa.string())).tolist() == []
    assert strings.all() == ["", "b", "c", "a", "y", "z"]
