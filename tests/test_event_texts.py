"""Texts of codes: every one has its typedef, and a number of one byte."""

import pytest

from workbench import event_texts
from workbench.event_texts import NAMES, STACK_STATUSES, TEXTS, WHOLE_STACKS
from workbench.schema import TYPEDEFS


@pytest.mark.parametrize("typedef", TEXTS)
def test_dictionaries_fit_their_index(typedef):
    assert TYPEDEFS[typedef].arrow == "dict8"
    assert len(TEXTS[typedef]) == len(set(TEXTS[typedef])) < 128


def test_no_typedef_has_texts_twice():
    assert not set(TEXTS) & set(NAMES)
    assert {TYPEDEFS[typedef].arrow for typedef in NAMES} <= {"string", "dict8"}


def test_every_tuple_of_texts_is_of_a_typedef():
    tuples = {
        name
        for name, value in vars(event_texts).items()
        if name.isupper() and isinstance(value, tuple) and value not in TEXTS.values()
    }
    assert tuples == {"WHOLE_STACKS"}
    assert set(WHOLE_STACKS) < set(STACK_STATUSES)
