"""Ids lead to rows, however they are numbered."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import ImportFormatError
from workbench.formats.pprof import references
from workbench.formats.pprof.references import check_texts, rows_of

IDS = st.lists(st.integers(1, (1 << 64) - 1) | st.integers(1, 5), unique=True, max_size=6)


@given(ids=IDS | st.integers(0, 5).map(lambda n: list(range(1, n + 1))), data=st.data())
def test_rows(ids, data):
    wanted = data.draw(st.lists(st.sampled_from([*ids, 0]), max_size=8))
    known, asked = np.array(ids, np.uint64), np.array(wanted, np.uint64)
    expected = [ids.index(one) if one else -1 for one in wanted]
    assert rows_of(known, asked, "thing", optional=True).tolist() == expected
    if 0 in wanted:
        with pytest.raises(ImportFormatError) as error:
            rows_of(known, asked, "thing")
        assert "no thing with the id 0" in error.value.why


@pytest.mark.parametrize("ids", [[], [1, 2], [7, 3], [(1 << 64) - 1]])
@pytest.mark.parametrize("wanted", [9, 1 << 63])
def test_ids_that_are_not_there(ids, wanted):
    with pytest.raises(ImportFormatError) as error:
        rows_of(np.array(ids, np.uint64), np.array([wanted], np.uint64), "x", optional=True)
    assert f"no x with the id {wanted}" in error.value.why


def test_texts():
    check_texts(np.array([0, 2]), 3)
    for wrong in ([3], [-1]):
        with pytest.raises(ImportFormatError):
            check_texts(np.array(wrong), 3)


@pytest.mark.parametrize("ids", [[1, 2, 3, 4], [9, 4, 7, 1]])
def test_ids_are_looked_up_part_by_part(ids, monkeypatch):
    monkeypatch.setattr(references, "_AT_ONCE", 2)
    known = np.array(ids, np.uint64)
    assert rows_of(known, known[[3, 0, 1, 2, 2]], "thing").tolist() == [3, 0, 1, 2, 2]
    with pytest.raises(ImportFormatError):
        rows_of(known, np.array([1, 4, 1, 11], np.uint64), "thing")
