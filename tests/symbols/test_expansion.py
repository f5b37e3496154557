"""Frames get lines; stacks get the functions that were inlined, in the right places."""

import numpy as np
import pytest

from workbench.symbols.expansion import INLINED, expanded, placed
from workbench.symbols.frame_table import Frame
from workbench.symbols.lines import Location


def frame(function="work"):
    return Frame(function=function, module="/bin/w", build_id="ab", offset=5, kind="native")


def test_inlined_functions_come_before_the_one_that_holds_them():
    inner, outer = placed(frame(), [Location("third", "a.c", 3), Location("work(int)", "a.c", 9)])
    assert (inner.function, inner.line, inner.kind) == ("third", 3, "inlined")
    # The symbol table's name stays: it tells main.cold from main.
    assert (outer.function, outer.file, outer.line, outer.kind) == ("work", "a.c", 9, "native")


def test_frames_without_a_name_get_that_of_the_debug_information():
    (found,) = placed(frame("[w]"), [Location("work(int)", "a.c", 9)])
    assert found.function == "work(int)"


def test_inlined_functions_without_a_name():
    inner, _ = placed(frame(), [Location("", "a.c", 3), Location("work", "a.c", 9)])
    assert inner.function == INLINED


@pytest.mark.parametrize("locations", [[], [Location("work", "", 0)]])
def test_locations_that_say_nothing(locations):
    assert placed(frame(), locations) == []


def test_lists_take_the_place_of_frames():
    ids = np.array([7, 3, 7, 5], np.uint32)
    found, counts = expanded(ids, {7: (20, 21, 7), 5: (30, 5)})
    assert found.tolist() == [20, 21, 7, 3, 20, 21, 7, 30, 5]
    assert counts.tolist() == [3, 1, 3, 2]
    assert found.dtype == np.uint32


def test_stacks_without_inlining_stay():
    ids = np.array([7, 3], np.uint32)
    for lists in ({}, {9: (1, 9)}):
        found, counts = expanded(ids, lists)
        assert found.tolist() == [7, 3]
        assert counts.tolist() == [1, 1]
    assert expanded(np.zeros(0, np.uint32), {9: (1, 9)})[0].tolist() == []
