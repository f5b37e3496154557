"""Native and Python frames in one stack: made by hand, and against a plain merge of one stack."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.pystacks.merging import EVALUATION, HELPER, NATIVE, merge, native_class


def merged(*stacks, complete=None):
    """Merge stacks of the form (native, python) in letters.

    Native: E is an evaluation, H a helper, others are themselves. Python: frames in lower case,
    "|" behind one that was entered from C, "." a hidden one.
    """
    letters = ["?"]
    native, classes, python, entries, depths = [], [], [], [], ([], [])

    def number(letter):
        letters.append(letter)
        return len(letters) - 1

    for own, chain in stacks:
        depths[0].append(len(own))
        native += [number(letter) for letter in own]
        classes += [{"E": EVALUATION, "H": HELPER}.get(letter, NATIVE) for letter in own]
        frames = [letter for letter in chain if letter != "|"]
        depths[1].append(len(frames))
        python += [-1 if letter == "." else number(letter) for letter in frames]
        entries += [
            chain[at + 1 : at + 2] == "|" for at, letter in enumerate(chain) if letter != "|"
        ]
    ids, counts = merge(native, depths[0], classes, python, depths[1], entries, complete)
    text = "".join(letters[number] for number in ids)
    ends = np.cumsum(counts).tolist()
    assert len(counts) == len(stacks)
    return [text[end - count : end] for end, count in zip(ends, counts.tolist(), strict=True)]


@pytest.mark.parametrize(
    ("native", "python", "expected"),
    [
        ("sCEM", "fgh|", "sCfghM"),
        ("sCEVEM", "f|gh|", "sCfVghM"),
        ("EEM", "f|g|", "fgM"),
        ("sHEHHM", "f|", "sfM"),  # trampolines, handlers
        ("sHCEM", "f|", "sHCfM"),  # not beside the loop: it stays
        ("EHEM", "f|g|", "fgM"),
        # entering a frame: the leaf-most run has none yet
        ("EVEM", "g|", "EVgM"),
        ("EVEM", ".|g|", "VgM"),
        # Python knows more than the native stack
        ("sEM", "f|g|", "sfgM"),
        ("sM", "f|g|", "sMfg"),
        ("", "f|g|", "fg"),
        ("sCM", "", "sCM"),
        ("sEM", "", "sEM"),
        ("", "", ""),
        # the chain ended early: its last frame is no entry
        ("CEVEM", "f|g", "CfVgM"),
        ("CEM", "f|.", "CfM"),
        ("CEVEXEM", "f|g|.", "CfVgXEM"),
    ],
)
def test_one_stack(native, python, expected):
    assert merged((native, python)) == [expected]
    # Neighbours make no difference.
    around = merged(("aEb", "x|"), (native, python), ("", "y|"), ("", ""), ("cE", "z|"))
    assert around == ["axb", expected, "y", "", "cz"]


def test_stacks_without_their_root_are_matched_from_the_leaf():
    assert merged(("CEVE", "f|g|h|"), complete=[False]) == ["CfVgh"]
    assert merged(("CEVE", "f|"), complete=[False]) == ["CfVE"]
    assert merged(("CE", "f|g|"), ("CE", "f|g|"), complete=[True, False]) == ["Cfg", "Cfg"]


def test_nothing():
    ids, depths = merge([], [], [], [], [], [])
    assert ids.tolist() == depths.tolist() == []


def plain(native, python):
    """Merge one stack, one frame after the other."""
    runs, run = [], ""
    for letter in python:
        if letter == "|":
            runs.append(run)
            run = ""
        else:
            run += letter
    missing = native.count("E") - len(runs)
    out, at = "", 0
    for letter in native:
        if letter == "E":
            out += "E" if at < missing else runs[at - missing]
            at += 1
        else:
            out += letter
    return out


@st.composite
def stack(draw):
    native = draw(st.text("ABE", max_size=12))
    count = draw(st.integers(0, native.count("E")))
    runs = [draw(st.text("xyz", min_size=1, max_size=4)) + "|" for _ in range(count)]
    return native, "".join(runs)


@given(st.lists(stack(), max_size=8))
def test_many_stacks_equal_a_plain_merge(stacks):
    assert merged(*stacks) == [plain(*each) for each in stacks]


@given(
    st.lists(st.tuples(st.text("ABEH", max_size=9), st.text("xy.|", max_size=9)), max_size=6),
    st.booleans(),
)
def test_no_frame_is_lost(stacks, complete):
    stacks = [(native, python.lstrip("|").replace("||", "|")) for native, python in stacks]
    found = merged(*stacks, complete=[complete] * len(stacks))
    for (native, python), text in zip(stacks, found, strict=True):
        for letters, source in (("AB", native), ("xy", python)):
            kept = "".join(each for each in text if each in letters)
            assert kept == "".join(each for each in source if each in letters)


def test_classes_of_functions():
    assert native_class("_PyEval_EvalFrameDefault") == EVALUATION
    assert native_class("_PyEval_EvalFrameDefault.cold") == EVALUATION
    assert native_class("_PyEval_EvalFrameDefault.constprop.0") == EVALUATION
    assert native_class("py::main:/srv/app.py") == HELPER
    assert native_class("_TAIL_CALL_CALL_FUNCTION_EX") == HELPER
    assert native_class("_PyEval_Vector") == native_class("main") == NATIVE
