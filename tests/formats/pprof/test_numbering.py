from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.formats.pprof import numbering
from workbench.formats.pprof.numbering import Strings, number_lists


@pytest.mark.parametrize("table", [0, 1 << 16])
@given(lists=st.lists(st.lists(st.sampled_from([0, 1, 2, 70_000, (1 << 32) - 1]), max_size=5)))
def test_equal_lists_have_equal_numbers(table, lists):
    before, numbering._TABLE = numbering._TABLE, table
    try:
        flat = np.array([x for each in lists for x in each], np.int64)
        offsets = np.concatenate([[0], np.cumsum([len(each) for each in lists])]).astype(np.int64)
        numbers, first = number_lists(flat, offsets)
    finally:
        numbering._TABLE = before
    seen: dict[tuple[int, ...], int] = {}
    expected = [seen.setdefault(tuple(each), len(seen)) for each in lists]
    assert numbers.tolist() == expected
    assert first.tolist() == [expected.index(number) for number in range(len(seen))]


def test_strings_are_numbered_by_first_appearance():
    strings = Strings()
    assert strings.of("b") == 1
    column = pa.chunked_array([["c", None, "b"], ["", "a", "c"]])
    assert strings.column(column).tolist() == [2, 0, 1, 0, 3, 2]
    encoded = pa.DictionaryArray.from_arrays(pa.array([1, 0], pa.int8()), ["z", "y"])
    assert strings.column(encoded).tolist() == [4, 5]
    assert strings.column(pa.array([], pa.string())).tolist() == []
    assert strings.all() == ["", "b", "c", "a", "y", "z"]
